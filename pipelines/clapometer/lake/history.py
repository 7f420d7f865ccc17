"""Time travel: which version of each table made up the lake at a time, or when a run was recorded."""

import datetime as dt

import msgspec

from clapometer.domain import InputError
from clapometer.lake.schema import TABLES
from clapometer.lake.tables import Lake

RUN_ID = "clapometer.run_id"
"""Metadata of the commit that records a run."""


def versions_at(lake: Lake, moment: dt.datetime) -> dict[str, int]:
    """Returns the version that each table had at a time.

    Raises:
        InputError: The lake is younger than that, or no longer keeps it.
    """
    return {name: lake.version_at(name, moment) for name in TABLES}


def versions_of_run(lake: Lake, run_id: str) -> dict[str, int]:
    """Returns the versions that a run read, and those of the other tables when it was recorded.

    Raises:
        InputError: There is no such run, or the lake no longer keeps what it read.
    """
    for commit in lake.commits("runs", -1):
        if commit.metadata.get(RUN_ID) == run_id:
            recorded = dt.datetime.fromtimestamp(int(commit.metadata["timestamp"]) / 1000, dt.UTC)
            return versions_at(lake, recorded) | _snapshot(lake, run_id) | {"runs": commit.version}
    msg = f"the lake does not know when run {run_id} was recorded; `clapometer sql 'FROM runs'` lists the runs"
    raise InputError(msg, "as_of")


def _snapshot(lake: Lake, run_id: str) -> dict[str, int]:
    with lake.connect() as con:
        ((text,),) = con.execute("SELECT snapshot FROM runs WHERE run_id = ?", [run_id]).fetchall()
    return msgspec.json.decode(text, type=dict[str, int])
