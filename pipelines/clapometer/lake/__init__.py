"""The lake: Delta tables, the SQL over them, and the file that analysts open.

Nothing is handed on here: names come from the module that has them, so that whoever only reads the published file loads
neither Arrow nor Delta Lake.
"""
