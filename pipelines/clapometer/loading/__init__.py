"""Loading: blocks of the event log become rows of the lake, each event exactly once.

Import the module that does it, so that nobody pays for the others.
"""
