"""The index of keys that were seen: each event counts once.

Import the module that does it, so that nobody pays for the others.
"""
