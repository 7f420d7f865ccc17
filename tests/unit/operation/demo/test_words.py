import io
import math

import pytest
from rich.console import Console

from clapometer.operation.demo.words import print_agreement, print_models, print_prompts, sentence
from clapometer.traffic.worlds.truth_check import Check, RankedRow, check


def found(completion: list[float]) -> Check:
    """Returns three models, best first, in their true order, with these completion rates."""
    rows = [
        RankedRow(f"m@{i}", f"m@{i}", i, i, i, 0.2 - 0.1 * i, 0.15 - 0.1 * i, 0.25 - 0.1 * i, rate, None)
        for i, rate in enumerate(completion, start=1)
    ]
    return check(rows, {row.item: row.effect or 0.0 for row in rows})


NOBODY = Check([], [], math.nan, math.nan, math.nan)
UNRANKED = RankedRow("k@real", "k@[real]", None, None, None, None, None, None, None, "no shared prompt")


def printed(width: int, completion: list[float]) -> str:
    console = Console(file=io.StringIO(), width=width)
    models = found(completion)
    print_models(console, models, [UNRANKED])
    print_prompts(console, models, 2)
    print_agreement(console, models, NOBODY, {"m@1": 8.0, "m@2": 8.0, "m@3": 4.0})
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return str(text)


@pytest.mark.parametrize("width", [80, 140])
def test_the_tables_fit_the_terminal_and_cut_no_number(width: int) -> None:
    text = printed(width, [0.3, 0.2, 0.9])
    assert "-0.100 -0.150..-0.050" in text
    assert "90.0%" in text
    assert "…" not in text
    assert ("┿" in text) == (width == 140)


def test_what_is_unranked_is_said_with_its_reason_as_it_stands() -> None:
    assert "unranked: k@[real]: no shared prompt" in printed(80, [0.3, 0.2, 0.9])


@pytest.mark.parametrize(
    ("completion", "seconds", "said"),
    [
        (
            [0.3, 0.2, 0.9],
            {"m@1": 8.0, "m@2": 8.0, "m@3": 4.0},
            "its clips last 4.0 s where the others' last 8.0 s",
        ),
        ([0.1, 0.9, 0.8], {"m@1": 16.0, "m@2": 8.0, "m@3": 8.0}, "long clips are less often watched to their end"),
        ([0.3, 0.2, 0.9], {"m@1": 8.0, "m@2": 8.0, "m@3": 8.0}, "who was shown its clips"),
        ([0.9, 0.8, 0.7], {}, "gets no place wrong"),
    ],
)
def test_one_sentence_says_what_the_completion_rate_gets_wrong(
    completion: list[float], seconds: dict[str, float], said: str
) -> None:
    assert said in sentence(found(completion), seconds)


def test_without_a_ranking_there_is_a_sentence_all_the_same() -> None:
    assert sentence(NOBODY, {})
