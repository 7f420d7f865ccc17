"""Evidence on real data: KuaiRand reactions and GenAI-Bench verdicts, against independent implementations."""

import json
from pathlib import Path

import choix
import numpy as np
import pytest

from clapometer.domain import InputError
from clapometer.study.real_data import EvidenceRow, genai_evidence, kuairand_evidence, rating_pairs, read_ratings

DATA = Path(__file__).parents[3] / "data"
VIDEOS, IMAGES = DATA / "genai-bench" / "genai_video_teaser.json", DATA / "genai-bench" / "genai_image.json"


def strengths(wins: np.ndarray) -> np.ndarray:
    return choix.ilsr_pairwise_dense(wins, alpha=0.0, tol=1e-12)


def by_quantity(rows: list[EvidenceRow], data: str) -> dict[str, EvidenceRow]:
    return {row.quantity: row for row in rows if row.data.startswith(data)}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"b": {"models": {"X": [1], "Z": [2]}}}, "b.models"),
        ({"b": {"models": {"X": [1], "Y": "good"}}}, "neither"),
    ],
)
def test_ratings_that_lack_something_are_refused(entry: dict[str, object], words: str, tmp_path: Path) -> None:
    path = tmp_path / "ratings.json"
    path.write_text(json.dumps({"a": {"models": {"X": [1], "Y": [2]}}} | entry))
    with pytest.raises(InputError, match=words):
        read_ratings(path)


def test_a_slip_of_the_hand_is_no_score(tmp_path: Path) -> None:
    path = tmp_path / "ratings.json"
    path.write_text(json.dumps({"a": {"models": {"X": [4, 41, 3], "Y": [4, 2, 5]}}}))
    left, right, result, prompt = rating_pairs(read_ratings(path))
    assert list(zip(left, right, result, prompt, strict=True)) == [(0, 1, 0.5, 0), (0, 1, 0.0, 0)]


def test_the_default_label_without_reactions_tells_like_from_hate_better_than_watch_ratio() -> None:
    rows = by_quantity(kuairand_evidence(DATA / "kuairand" / "reactions.tsv.gz"), "KuaiRand")
    ours = rows["AUC of like against hate: default label without reactions"]
    assert ours.value > 0.765
    assert ours.value > rows["AUC of like against hate: watch ratio"].value > 0.76
    assert ours.met
    assert rows["Spearman with duration: default label without reactions"].met
    assert abs(rows["Spearman with duration: watch quantile"].value) <= 0.05
    assert ours.n == 33_974


@pytest.fixture(scope="module")
def genai() -> list[EvidenceRow]:
    return genai_evidence(VIDEOS, IMAGES, oracle=strengths, worlds=2)


def test_strengths_from_human_verdicts_agree_with_choix(genai: list[EvidenceRow]) -> None:
    for data in ("GenAI-Bench video", "GenAI-Bench image"):
        rows = by_quantity(genai, data)
        assert rows["largest difference from choix"].met
        assert rows["order by strength = order by mean score"].met
    order = [q.rpartition(" ")[2] for q in by_quantity(genai, "GenAI-Bench video") if q.startswith("Bradley-Terry str")]
    assert order == ["Gen2", "Pika_v1", "Floor33", "Modelscope"]


def test_engagement_under_biased_exposure_still_tells_the_order_and_a_raw_rate_does_not(
    genai: list[EvidenceRow],
) -> None:
    rows = by_quantity(genai, "GenAI-Bench video, engagement")
    assert rows["Kendall tau with the truth: ours"].value > 0.8
    assert rows["coverage of 95 % intervals: ours"].value > 0.7
    assert rows["Kendall tau with the truth: raw like rate"].value < 0
