"""The default rule, as recorded with rankings: changing it needs a new version and a new golden file."""

import json
from pathlib import Path

from clapometer.labels import DEFAULT_RULE, decode_rule, encode_rule, label_sql

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "default_rule.json").read_text(encoding="utf-8"))


def test_the_default_rule_is_the_one_that_was_promised() -> None:
    assert json.loads(encode_rule(DEFAULT_RULE)) == GOLDEN["rule"]
    assert decode_rule(GOLDEN["rule"]) == DEFAULT_RULE


def test_the_default_label_is_the_sql_that_was_promised() -> None:
    assert label_sql(DEFAULT_RULE) == GOLDEN["label_sql"]
