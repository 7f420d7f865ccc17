"""Exports as a trainer opens them: Hugging Face datasets and TRL, in the versions of ``scripts/trainer-libraries``."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.lakes import clock, lake_of, traffic

from clapometer.export.export import Source, export_run
from clapometer.export.options import ExportOptions, Kind
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

ROOT = Path(__file__).parent.parent.parent
LIBRARIES = ROOT / ".tools" / "trainers"


def read(folder: Path, home: Path) -> dict[str, Any]:
    script = [sys.executable, "-S", str(Path(__file__).with_name("trainer.py")), str(LIBRARIES), str(folder)]
    settings = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(script, capture_output=True, text=True, check=False, env={**os.environ, **settings})
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A lake whose clips are named by the time at which they were made."""
    rows = traffic()
    for r in (r for r in rows if "clip_id" in r):
        prompt, model = r["clip_id"][1:].split("-")
        r["clip_id"] = f"2026-03-01T12:{int(prompt):02}:{int(model):02}"
    for r in (r for r in rows if r["type"] == "clip_registered"):
        r["prompt_text"] = f"=cmd('{r['prompt_id']}'), \"a\nvase\"\u2028"
        r["training_allowed"] = True
    lake = lake_of(tmp_path_factory.mktemp("lake"), rows)
    assert train_once(lake, clock=clock, parameters=Parameters(min_impressions=50)).run.status == "succeeded"
    return Source(lake)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [("trl-preference", ("prompt", "chosen", "rejected")), ("trl-unpaired", ("prompt", "completion"))],
)
def test_a_trainer_reads_what_was_written(source: Source, tmp_path: Path, kind: Kind, columns: tuple[str, ...]) -> None:
    """Ids that look like times are texts: where types are guessed, datasets makes times of them."""
    manifest = export_run(source, ExportOptions(kind=kind, held_out=0.3), tmp_path / "out")
    found = read(tmp_path / "out", tmp_path / "home")
    assert found["splits"] == {name: split.rows for name, split in manifest.splits.items()}
    assert {found["features"][name] for name in columns} == {"string"}
    files = [tmp_path / "out" / f"{name}.jsonl" for name in manifest.splits]
    written = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
    assert found["rows"] == written
    assert not found["conversational"]
    sides = 2 if kind == "trl-preference" else 1
    assert len(found["unpaired"]) == sides * manifest.splits["train"].rows
    assert all(type(row["label"]) is bool for row in found["unpaired"])
