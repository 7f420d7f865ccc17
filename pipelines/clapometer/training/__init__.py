"""Training: outcomes become preference labels and rankings, when there is something new.

Import the module that does it, so that nobody pays for the others.
"""
