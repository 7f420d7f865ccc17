"""The notebook runs from its first cell to its last on a lake like the demo's, and says so where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb

from clapometer.lake.tables import Lake

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "from_raw_events_to_a_ranking.py"


def exported(folder: Path, lake: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    """Returns how the export of the notebook went, and the page that it made."""
    page = folder / "page.html"
    command = [
        sys.executable,
        "-m",
        "marimo",
        "export",
        "html",
        str(NOTEBOOK),
        "-o",
        str(page),
        "--",
        "--lake",
        str(lake),
    ]
    done = subprocess.run(
        command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=300, check=False
    )
    return done, page.read_text() if page.exists() else ""


def test_the_notebook_runs_through_and_shows_the_ranking(lake: Lake, tmp_path: Path) -> None:
    done, page = exported(tmp_path, lake.root)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        ranked = connection.execute(
            "SELECT item FROM rankings_current "
            "WHERE subject = 'model_versions' AND segment = 'all' AND rank IS NOT NULL"
        ).fetchall()
    assert len(ranked) > 5
    assert [item for (item,) in ranked if item not in page] == []
    assert "What raw completion would have said" in page


def test_the_notebook_says_what_to_do_where_there_is_no_lake(tmp_path: Path) -> None:
    done, page = exported(tmp_path, tmp_path / "nowhere")
    assert "There is no" in page, done.stderr
    assert f"{tmp_path / 'nowhere'}/clapometer.duckdb" in page, "the path is no part of the notebook's source"
