// Draws the figures of the page. Their specifications are data in the page; colours come from the style sheet.
"use strict";

(() => {
  const { View, parse, compile, expressionInterpreter } = clapometerVega;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // A value {"name": …} in a specification stands for something that the page's width or colours decide.
  const named = (width) => ({
    sides: [css("--above"), css("--unclear"), css("--below")],
    agreement: [css("--below"), css("--unclear")],
    kinds: [css("--accent"), css("--unclear"), css("--below")],
    names: Math.max(90, Math.min(260, width * 0.34)),
    short: width * 0.32 - 20,
    ways: [width * 0.32, width * 0.84],
  });

  const fill = (value, names) => {
    if (Array.isArray(value)) return value.map((entry) => fill(entry, names));
    if (value === null || typeof value !== "object") return value;
    const keys = Object.keys(value);
    if (keys.length === 1 && keys[0] === "name" && Object.hasOwn(names, value.name)) return names[value.name];
    return Object.fromEntries(keys.map((key) => [key, key === "values" ? value[key] : fill(value[key], names)]));
  };

  const config = () => ({
    background: null,
    font: css("--font"),
    padding: { left: 2, right: 4, top: 4, bottom: 4 },
    view: { stroke: null },
    axis: {
      labelColor: css("--muted"), titleColor: css("--muted"), gridColor: css("--line"), domainColor: css("--line"),
      tickColor: css("--line"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 10,
    },
    legend: { labelColor: css("--muted"), labelFontSize: 12, symbolType: "square" },
    style: {
      zero: { color: css("--muted"), strokeWidth: 1, strokeDash: [3, 3] },
      name: { color: css("--text"), fontSize: 13 },
      ranks: { color: css("--muted"), fontSize: 12 },
      place: { color: css("--on-mark"), fontSize: 11, fontWeight: 600 },
    },
  });

  // The compiler warns that charts with rows of a fixed height fit in width only: that is what they are to do.
  const quiet = { level: () => quiet, error: console.error, warn: () => quiet, info: () => quiet, debug: () => quiet };

  const draw = async (figure) => {
    drawn.get(figure)?.finalize();
    const width = figure.clientWidth;
    const spec = JSON.parse(document.getElementById(figure.dataset.figure).textContent);
    const filled = { ...fill(spec, named(width)), config: config(), width };
    const view = new View(parse(compile(filled, { logger: quiet }).spec, null, { ast: true }), {
      expr: expressionInterpreter,
      renderer: "svg",
      container: figure,
      hover: true,
    });
    drawn.set(figure, view);
    await view.runAsync();
    figure.classList.add("drawn");
  };

  const drawAll = () => {
    for (const figure of document.querySelectorAll("[data-figure]")) draw(figure);
  };

  let width = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(drawAll);
  });
  dark.addEventListener("change", drawAll);
  drawAll();
})();
