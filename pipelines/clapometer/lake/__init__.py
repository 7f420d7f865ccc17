"""The lake: Delta tables, the SQL over them, and the file that analysts open."""

from clapometer.lake.commit import Commit, CommitConflictError
from clapometer.lake.publish import publish
from clapometer.lake.schema import DATA_COLUMNS, TABLES
from clapometer.lake.tables import Lake
from clapometer.lake.views import sql

__all__ = ["DATA_COLUMNS", "TABLES", "Commit", "CommitConflictError", "Lake", "publish", "sql"]
