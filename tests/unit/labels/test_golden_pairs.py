"""What pair labels say of a small recorded case: a change of it is a change of every export."""

import json
from pathlib import Path

import numpy as np
import pytest

from clapometer.labels import PairLabels, Said, explicit_pairs, pairs_of_prompts, posterior_pairs
from clapometer.ranking import ClipRates, HierarchicalBayes

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "pair_labels.json").read_text(encoding="utf-8"))


def rows(labels: PairLabels) -> list[dict[str, object]]:
    """Labels as they go into the lake."""
    columns = ("left", "right", "p_left", "margin", "weight", "left_evidence", "right_evidence")
    values = zip(*(getattr(labels, name).tolist() for name in columns), strict=True)
    return [dict(zip(columns, row, strict=True)) | {"tier": labels.tier} for row in values]


def test_labels_of_a_recorded_case_are_what_was_promised() -> None:
    given = {name: np.array(column) for name, column in GOLDEN["clips"].items()}
    names = ("label", "exposure", "weighted_label", "weighted_exposure", "impressions")
    rates = ClipRates(np.arange(len(given["prompt"])), *(given[name] for name in names))
    fitted = HierarchicalBayes().fit(np.column_stack([given["model"], given["prompt"]]), rates)
    left, right = pairs_of_prompts(given["prompt"], rates.impressions, max_per_prompt=3)
    said = Said(*(np.array(GOLDEN["said"][name]) for name in ("left", "right", "result")))
    viewed = posterior_pairs(fitted, left, right, rates.impressions)
    found = {"explicit": rows(explicit_pairs(said)), "posterior": rows(viewed)}
    for kind, expected in GOLDEN["labels"].items():
        assert [row.pop("tier") for row in found[kind]] == [row.pop("tier") for row in expected]
        for one, other in zip(found[kind], expected, strict=True):
            assert one == pytest.approx(other, rel=1e-6, abs=1e-9)
