export { View, parse, Warn, Error, None } from "vega";
export { compile } from "vega-lite";
export { expressionInterpreter } from "vega-interpreter";
