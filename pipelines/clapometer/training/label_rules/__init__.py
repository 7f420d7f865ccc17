"""Label rules, fitted to what people said or did afterwards.

Import the module that does it, so that nobody pays for the others.
"""
