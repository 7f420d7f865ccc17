"""The page, and the same numbers in a terminal."""
