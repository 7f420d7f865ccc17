"""Delta tables: their files, commits and columns, in a folder or in an object store.

Import the module that does it, so that nobody pays for the others.
"""
