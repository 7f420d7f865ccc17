"""What time does to an estimate: launches, weeks, novelty, trends."""
