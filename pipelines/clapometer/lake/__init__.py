"""The lake: Delta tables, the SQL over them, and the file that analysts open.

Names are imported when first used: whoever only reads the published file needs neither Arrow nor Delta Lake.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clapometer.lake.delta.bucket import SCHEME
    from clapometer.lake.delta.files import Commit
    from clapometer.lake.delta.storage import Storage, storage_at
    from clapometer.lake.delta.table import CommitConflictError
    from clapometer.lake.history import RUN_ID, open_then
    from clapometer.lake.published.publish import follow, publish
    from clapometer.lake.schema import DATA_COLUMNS, TABLES, DataColumn
    from clapometer.lake.statements import sql
    from clapometer.lake.tables import Lake

__all__ = [
    "DATA_COLUMNS",
    "RUN_ID",
    "SCHEME",
    "TABLES",
    "Commit",
    "CommitConflictError",
    "DataColumn",
    "Lake",
    "Storage",
    "follow",
    "open_then",
    "publish",
    "sql",
    "storage_at",
]

_MODULES = {
    "DATA_COLUMNS": "schema",
    "DataColumn": "schema",
    "RUN_ID": "history",
    "SCHEME": "delta.bucket",
    "TABLES": "schema",
    "Commit": "delta.files",
    "CommitConflictError": "delta.table",
    "Lake": "tables",
    "Storage": "delta.storage",
    "follow": "published.publish",
    "open_then": "history",
    "publish": "published.publish",
    "sql": "statements",
    "storage_at": "delta.storage",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
