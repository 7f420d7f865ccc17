"""Folding: events become outcomes, one row per impression.

Import the module that does it, so that nobody pays for the others.
"""
