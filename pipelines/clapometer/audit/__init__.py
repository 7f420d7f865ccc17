"""Reasons to doubt a ranking, from the data that it was made from.

Import the module that does it, so that nobody pays for the others.
"""
