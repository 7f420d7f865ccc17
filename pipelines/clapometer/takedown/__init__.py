"""Takedown: a clip or a viewer is gone, everywhere, and there is proof.

Import the module that does it, so that nobody pays for the others.
"""
