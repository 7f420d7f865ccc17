"""The sender: batches, pacing, retries and signatures."""
