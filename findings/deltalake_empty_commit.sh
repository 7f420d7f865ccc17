#!/bin/sh
# deltalake 1.6.6: a commit file of 0 bytes, as a power cut leaves it where the file was created and its bytes were not yet
# on the disk, is taken for a commit that did nothing. The table opens at its newest version, its rows of that commit are
# missing, and no error or warning says so; half a commit file raises DeltaError. A `_last_checkpoint` whose checkpoint is
# gone is the opposite: the table cannot be opened at all, although every commit of it is still there, and opens
# whole once the hint is deleted.
#
# Who meets it: whoever reads Delta tables from a disk that lost power, or a copy that broke off. Ours: the loader refuses to
# go on beside an empty commit, and `clapometer doctor` names the file and what may be deleted without losing a row;
# tests/unit/cli/test_doctor.py and tests/unit/lake/test_damage.py.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
environment/bin/python - <<'END'
from pathlib import Path

import deltalake
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError


def table(name):
    """Returns the folder of a table that has three rows, each of a commit of its own."""
    for row in range(3):
        write_deltalake(name, pa.table({"row": [row]}), mode="append")
    return Path(name)


def opened(name):
    """Returns version and number of rows, or the name of the error."""
    try:
        found = DeltaTable(name)
        return found.version(), found.to_pyarrow_table().num_rows
    except DeltaError as error:
        return type(error).__name__


def commit(folder, version):
    return folder / "_delta_log" / f"{version:020}.json"


empty = table("empty")
commit(empty, 1).write_bytes(b"")
half = table("half")
commit(half, 1).write_bytes(commit(half, 1).read_bytes()[:40])
hinted = table("hinted")
DeltaTable("hinted").create_checkpoint()
for file in (hinted / "_delta_log").glob("*.checkpoint*.parquet"):
    file.unlink()
with_hint = opened("hinted")
(hinted / "_delta_log" / "_last_checkpoint").unlink()

found = {
    "one of three commits has 0 bytes: version, rows": (opened("empty"), (2, 2)),
    "one of three commits is cut": (opened("half"), "DeltaError"),
    "the checkpoint is gone, the hint is there": (with_hint, "DeltaError"),
    "both are gone: version, rows": (opened("hinted"), (2, 3)),
}
print("deltalake", deltalake.__version__)
changed = False
for name, (seen, expected) in found.items():
    print(f"{name}: {seen}")
    changed |= seen != expected
raise SystemExit("changed" if changed else 0)
END
