"""Reading: rankings, comparisons and the state of the pipeline, out of the published lake."""
