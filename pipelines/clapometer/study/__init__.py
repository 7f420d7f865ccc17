"""The study: estimators, screening and label rules in worlds whose truth is known, and on people's own verdicts.

Import the module that does it, so that nobody pays for the others.
"""
