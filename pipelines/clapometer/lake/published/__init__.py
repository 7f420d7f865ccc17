"""The file that analysts open: views, macros, metrics and comments over the lake.

Import the module that does it, so that nobody pays for the others.
"""
