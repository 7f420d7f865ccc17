"""``clapometer rank`` and ``compare`` print what the published lake says."""

from pathlib import Path

import pytest
from tests.unit.serving.sample_lake import full_lake
from typer.testing import CliRunner

from clapometer.cli.main import app


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    full_lake(tmp_path / "lake")
    monkeypatch.setenv("CLAPOMETER_LAKE", str(tmp_path / "lake"))
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_two_items_of_a_ranking_are_compared_and_each_is_found(invoke) -> None:
    ranked = invoke("rank", "--format", "csv")
    assert ranked.exit_code == 0, ranked.output
    compared = invoke("compare", "kite@3.1", "pixel@1")
    assert compared.exit_code == 0, compared.exception
    assert "kite@3.1 less pixel@1: +" in compared.output
    assert "P(kite@3.1 is better)" in compared.output
