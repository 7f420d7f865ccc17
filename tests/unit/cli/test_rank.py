"""``clapometer rank`` and ``compare`` print what the published lake says."""

import json
from pathlib import Path

import pytest
from tests.unit.serving.sample_lake import full_lake
from typer.testing import CliRunner

from clapometer.cli.main import app, main


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


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("kite@3.1", "aurora@2", "--require", "better"), 0),
        (("aurora@2", "kite@3.1", "--require", "better"), 1),
        (("aurora@2", "kite@3.1", "--require", "not-worse"), 1),
        (("aurora@2", "kite@3.1", "--require", "not-worse", "--margin", "0.06"), 0),
        (("kite@3.1", "aurora@2", "--require", "better", "--margin", "0.03"), 3),
        (("kite@3.1", "pixel@2", "--require", "better"), 3),
        (("kite@3.1", "nosuch", "--require", "better"), 2),
        (("kite@3.1", "aurora@2", "--require", "better", "--run", "nosuch"), 2),
        (("kite@3.1", "aurora@2", "--require", "better", "--margin", "-1"), 2),
        (("kite@3.1", "aurora@2"), 0),
    ],
)
def test_a_release_script_reads_the_decision_from_the_exit_code(
    invoke, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    monkeypatch.setattr("sys.argv", ["clapometer", "compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code


def test_the_decision_is_printed_for_machines_too(invoke) -> None:
    done = invoke("compare", "kite@3.1", "aurora@2", "--require", "better", "--format", "json")
    told = json.loads(done.stdout)["required"]
    assert (told["answer"], told["requirement"], told["interval"]) == ("yes", "better", "always")


def test_what_is_misspelt_is_told_with_what_is_nearest_and_no_other_commands_route(invoke) -> None:
    said = str(invoke("compare", "kite@31", "aurora@2").exception)
    assert "has no item 'kite@31'; did you mean `kite@3.1`" in said
    assert "/v1/" not in said
    assert "did you mean `run-" in str(invoke("rank", "--run", "zzz").exception)
    assert str(invoke("rank", "--segment", "taks=t2v").exception).startswith("segment: 'taks' is no part")
    assert "there are rank, places, item" in str(invoke("rank", "--columns", "nosuch").exception)


def test_wide_shows_every_column_in_full(invoke) -> None:
    lines = invoke("rank", "prompts", "--wide").output.splitlines()
    assert "completion" in lines[1]
    assert "…" not in "".join(lines)


def test_a_tenant_without_a_ranking_is_told_who_has_one(invoke) -> None:
    for command in (("rank",), ("compare", "kite@3.1", "aurora@2")):
        said = str(invoke(*command, "--tenant", "nobody").exception)
        assert said.startswith("tenant 'nobody' has no ranking yet; ")
        assert "default" in said
