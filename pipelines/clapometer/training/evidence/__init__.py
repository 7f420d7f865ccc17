"""Evidence: what outcomes say, screened and weighted, before anything is ranked.

Import the module that does it, so that nobody pays for the others.
"""
