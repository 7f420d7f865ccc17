"""Boards: the rows of every ranking, and what was left out of them.

Import the module that does it, so that nobody pays for the others.
"""
