"""Traffic of simulated worlds, and the truth beside it."""
