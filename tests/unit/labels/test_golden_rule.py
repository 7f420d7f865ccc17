"""The default rule, as recorded with rankings: changing it needs a new version and a new golden file."""

import json
from pathlib import Path

import numpy as np
import pytest

from clapometer.labels import DEFAULT_RULE, decode_rule, encode_rule, label_values

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "default_rule.json").read_text(encoding="utf-8"))


def test_the_default_rule_is_the_one_that_was_promised() -> None:
    assert json.loads(encode_rule(DEFAULT_RULE)) == GOLDEN["rule"]
    assert decode_rule(GOLDEN["rule"]) == DEFAULT_RULE


def test_the_default_labels_are_the_ones_that_were_promised() -> None:
    """Rows that watch, glance, loop, react and know nothing; null is unknown, or did not happen."""
    given = {name: np.array(column, float) for name, column in GOLDEN["rows"].items()}
    assert label_values(DEFAULT_RULE, given) == pytest.approx(GOLDEN["labels"], rel=0, abs=1e-12)
