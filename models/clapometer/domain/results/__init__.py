"""The second half of the vocabulary: what counts, and the rows of rankings."""
