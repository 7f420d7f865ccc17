"""Upkeep of the lake: small files become large ones; backup and restore.

Import the module that does it, so that nobody pays for the others.
"""
