"""Label rules: what is refused and why, what is read, what is kept."""

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapometer.domain import InputError
from clapometer.labels import (
    DEFAULT_RULE,
    EXPLICIT_SIGNALS,
    SIGNALS,
    LabelRule,
    SignalName,
    Weights,
    decode_rule,
    encode_rule,
    implicit_part,
    rule_toml,
)


@pytest.mark.parametrize(
    ("toml", "field", "words"),
    [
        ("version = 1", "name", "missing"),
        ("name = 'a'", "version", "missing"),
        ("name = 'a'\nversion = 1\ncolour = 'red'", "colour", "unknown key"),
        ("name = 'a'\nversion = 1\n[weights]\nlikes = 1.0", "weights.likes", "unknown key"),
        ("name = 'a'\nversion = 1\n[weights]\nlike = 'much'", "weights.like", "Expected `float`"),
        ("name = 'a'\nversion = 1\n[weights]\nlike = nan", "weights.like", "finite"),
        ("name = 'a'\nversion = 1\n[weights]\nlike = inf", "weights.like", "finite"),
        ("name = 'a'\nversion = 1\n[weights]\nlike = 1e9", "weights.like", "<= 1000000.0"),
        ("name = 'a'\nversion = 1\n[weights]\nrevenue = 0.1", "", "currency"),
        ("name = 'a'\nversion = 1\ncurrency = 'euro'", "currency", "regex"),
        ("name = 'a'\nversion = 0", "version", ">= 1"),
        ("name = 'a'\nversion = 1\nscale = 0.0", "scale", "> 0"),
        ("name = 'a'\nversion = 1\n[maturity_hours]\nlikes = 3", "maturity_hours", "likes"),
        ("name = 'a'\nversion = 1\n[maturity_hours]\nlike = -3", "maturity_hours", ">= 0"),
        ("name = 'a'\nversion = 1\n[watch]\nmeasure = 'median'", "watch.measure", "median"),
        ("name = 'a'\nversion = 1\n[watch]\nneutral = 2.0", "watch.neutral", "<= 1"),
        ("name = ", "", "not TOML"),
    ],
)
def test_a_bad_rule_is_refused_with_the_name_of_its_field(toml: str, field: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_rule(toml)
    assert caught.value.field.startswith(field)
    assert words in str(caught.value)


def test_a_rule_without_any_weight_is_refused() -> None:
    zeros = dict.fromkeys((signal.name for signal in SIGNALS), 0.0)
    with pytest.raises(InputError, match="every weight is 0"):
        decode_rule({"name": "nothing", "version": 1, "weights": zeros})


def test_what_a_rule_does_not_say_is_the_default() -> None:
    rule = decode_rule("name = 'shop'\nversion = 3\n[weights]\npurchase = 5")
    assert rule.id == "shop@3"
    assert rule.weights == msgspec.structs.replace(Weights(), purchase=5.0)


def test_a_line_end_behind_a_currency_is_no_part_of_it() -> None:
    with pytest.raises(InputError, match="currency"):
        decode_rule({"name": "x", "version": 1, "currency": "EUR\n"})


def test_a_recorded_rule_reads_back_as_it_was() -> None:
    toml = "name = 'x'\nversion = 2\ncurrency = 'EUR'\n[weights]\nrevenue = 0.5\n[maturity_hours]\nsave = 24"
    rule = decode_rule(toml)
    assert decode_rule(json.loads(encode_rule(rule))) == rule
    assert decode_rule(json.loads(encode_rule(DEFAULT_RULE))) == DEFAULT_RULE


def test_the_longest_window_of_a_signal_that_counts_decides_when_a_row_is_mature() -> None:
    toml = "name = 'x'\nversion = 1\n[weights]\npurchase = 0\n[maturity_hours]\nsave = 24\nlike = 2\npurchase = 168"
    assert decode_rule(toml).maturity == 24.0
    assert DEFAULT_RULE.maturity == 0.0


def test_names_of_signals_weights_and_windows_are_the_same_list() -> None:
    names = [signal.name for signal in SIGNALS]
    assert names == list(get_args(SignalName)) == list(Weights.__struct_fields__)


def test_the_implicit_part_has_no_reactions_and_keeps_the_rest() -> None:
    part = implicit_part(DEFAULT_RULE)
    assert {part.weights.of(name) for name in EXPLICIT_SIGNALS} == {0.0}
    assert part.weights.watch == DEFAULT_RULE.weights.watch


@given(
    st.builds(
        LabelRule,
        name=st.text(min_size=1, max_size=20),
        version=st.integers(1, 99),
        weights=st.builds(
            Weights, like=st.floats(0.1, 9), watch=st.floats(-1e6, 1e6), report=st.sampled_from([0.0, -1e-300])
        ),
        maturity_hours=st.dictionaries(st.sampled_from(["like", "save"]), st.floats(0, 48)),
        anchor=st.text(max_size=20),
        currency=st.sampled_from([None, "EUR"]),
    )
)
def test_a_rule_written_as_toml_reads_back_the_same(rule: LabelRule) -> None:
    assert decode_rule(rule_toml(rule)) == rule
