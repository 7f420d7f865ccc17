"""The lake: Delta tables, the SQL over them, and the file that analysts open."""

from clapometer.lake.commit import Commit, CommitConflictError
from clapometer.lake.history import RUN_ID, versions_at, versions_of_run
from clapometer.lake.publish import publish
from clapometer.lake.schema import DATA_COLUMNS, TABLES
from clapometer.lake.tables import Lake
from clapometer.lake.views import sql

__all__ = [
    "DATA_COLUMNS",
    "RUN_ID",
    "TABLES",
    "Commit",
    "CommitConflictError",
    "Lake",
    "publish",
    "sql",
    "versions_at",
    "versions_of_run",
]
