"""The dataset card of an export: what the rows are, where they come from, and how a trainer reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from clapometer.export.folder import Manifest

CARD = "README.md"
_KINDS = {
    "VARCHAR": "string", "DOUBLE": "float64", "BIGINT": "int64", "BOOLEAN": "bool",
}  # fmt: skip
_ROWS = {
    "trl-preference": "a pair of clips of one prompt: `chosen` is the better one, `rejected` the other (TRL's "
    "preference format, https://huggingface.co/docs/trl/dataset_formats)",
    "trl-unpaired": "a clip: `completion`, and by `label` whether it is preferred in its prompt (TRL's unpaired "
    "preference format, https://huggingface.co/docs/trl/dataset_formats)",
}
_TIERS = {
    "A": "what people said: votes and creators' choices",
    "B": "what viewers did, with the chances of every impression logged",
    "C": "what viewers did, without logged chances that hold: an association, not an effect",
}


def write_card(folder: Path, manifest: Manifest, columns: Mapping[str, str]) -> None:
    """Writes ``README.md``: a dataset card, whose head says the types of the columns.

    Without them Hugging Face ``datasets`` guesses the types of JSON, and takes ids that look like times for times.

    Args:
        folder: Of the export.
        manifest: What it holds.
        columns: DuckDB's type of each column.
    """
    features = "\n".join(
        f"  - name: {name}\n    dtype: {_KINDS[kind]}" for name, kind in columns.items() if name != "split"
    )
    files = "\n".join(f"  - split: {name}\n    path: {name}.parquet" for name in manifest.splits)
    sizes = ", ".join(f"{split.rows:,} rows of {name}" for name, split in manifest.splits.items())
    left = "\n".join(f"- {count:,} labels: {reason}" for reason, count in manifest.left_out.items()) or "- nothing"
    options = msgspec.json.encode(manifest.options).decode()
    why = f" ({manifest.tier_reason})" if manifest.tier_reason else ""
    (folder / CARD).write_text(
        f"""---
configs:
- config_name: default
  data_files:
{files}
dataset_info:
  features:
{features}
---
# Preference labels of run {manifest.run_id}

{sizes}. Each row is {_ROWS[manifest.options.kind]}.

- Clips are named by their ids.
- Label rule: {manifest.rule}, outcomes known at {manifest.as_of:%Y-%m-%dT%H:%M:%SZ}
- What viewers did is of tier {manifest.tier}{why}; the column `tier` says it of each row:
{chr(10).join(f"  - {tier}: {means}" for tier, means in _TIERS.items())}
- `weight` is what a label tells, in bits: 1 for a certain one, 0 for a toss-up. TRL 1 reads no weights: export with
  `--resample N` to draw rows by their weight.
- Asked for: `{options}`

Left out:

{left}

The Parquet and the JSON Lines files hold the same rows; read the Parquet files, or give the types above when reading
JSON: readers that guess types may take an id that looks like a time for a time.
""",
        encoding="utf-8",
    )
