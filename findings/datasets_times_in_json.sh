#!/bin/sh
# Hugging Face datasets 5.2.0 takes text for times when it reads JSON Lines: a column of ids such as
# `2026-03-01T12:00:01Z` comes back as datetimes without a zone, to the second. TRL 1.16.0's unpairing passes them on as
# completions; where the chosen ids of a file look like times and the rejected ones do not, it raises. The same rows in Parquet stay text. Ids of another form, such as `03-01T12-1`, stay text too.
#
# Who meets it: whoever trains on preference pairs whose clips are named by when they were made. Ours: an export has
# Parquet beside JSON Lines, and a dataset card that says the types and names the Parquet files;
# tests/readers/test_trainer.py.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0 transformers==5.24.0 jinja2 pyarrow==26.0.1
environment/bin/pip install --quiet --disable-pip-version-check --no-deps trl==1.16.0
export HF_HOME="$folder/home" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
environment/bin/python - <<'END'
import json

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset
from trl import data_utils

rows = [
    {"prompt": f"vase {n}", "chosen": f"2026-03-01T12:00:0{n}Z", "rejected": f"2026-03-01T12:00:1{n}Z", "id": f"03-01T12-{n}"}
    for n in range(3)
]
with open("pairs.jsonl", "w") as file:
    file.writelines(json.dumps(row) + "\n" for row in rows)
pq.write_table(pa.Table.from_pylist(rows), "pairs.parquet")
found = {}
for form in ("json", "parquet"):
    read = load_dataset(form, data_files=f"pairs.{'jsonl' if form == 'json' else form}", split="train")
    first = data_utils.unpair_preference_dataset(read)[0]["completion"]
    found[form] = (read.features["chosen"].dtype, read.features["id"].dtype, str(first))
    print(f"datasets 5.2.0, {form}: chosen is {found[form][0]}, id {found[form][1]}; TRL's first completion: {first}")
same = found == {
    "json": ("timestamp[s]", "string", "2026-03-01 12:00:00"),
    "parquet": ("string", "string", "2026-03-01T12:00:00Z"),
}
raise SystemExit(0 if same else "changed")
END
