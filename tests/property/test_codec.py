"""Whatever comes in, the codec answers with events, verdicts or an InputError; what it accepts is stable."""

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clapometer.collector import event_examples
from clapometer.domain import (
    Batch,
    CorruptBlockError,
    InputError,
    answer_trust,
    decode_batch,
    decode_block,
    decode_event,
    decode_lines,
    encode_block,
    encode_events,
    impression_trust,
    sign_answer,
    sign_impression,
)
from clapometer.domain.events import Experiment, ImpressionData

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
EXAMPLES = list(event_examples(NOW).values())

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\ud800", "\0", "1.0"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def damaged_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of a real type with some of its fields replaced, removed or added."""
    event: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(EXAMPLES))))
    for _ in range(draw(st.integers(0, 3))):
        target = event["data"] if draw(st.booleans()) and isinstance(event.get("data"), dict) else event
        name = draw(st.sampled_from(sorted(target)) | st.text(max_size=8)) if target else "x"
        if draw(st.booleans()):
            target[name] = draw(values)
        else:
            target.pop(name, None)
    return event


def verdicts(body: bytes) -> Batch | None:
    try:
        return decode_batch(body, NOW)
    except InputError:
        return None


def assert_whole(batch: Batch) -> None:
    """Every event has one verdict, every verdict a reason, and what was accepted encodes to itself."""
    places = [letter.index for letter in batch.rejected]
    assert places == sorted(set(places))  # type: ignore[type-var]
    assert all(letter.reason for letter in batch.rejected)
    block = encode_block(
        encode_events(batch.events), len(batch.events), tenant="t", received_at=NOW, rejected=batch.rejected
    )
    read = decode_block(block)
    assert [decode_event(line) for line in read.events] == batch.events
    assert encode_events([decode_event(line) for line in read.events]) == encode_events(batch.events)
    assert len(read.rejected) == len(batch.rejected)


@given(st.binary(max_size=300))
@example(b"[")
@example(b'["\\')
@example(b"[{]}")
@example(b'[{"id":"\\ud800"}]')
def test_arbitrary_bytes_give_verdicts_or_an_input_error(body: bytes) -> None:
    for batch in (verdicts(body), verdicts(b"[" + body + b"]")):
        if batch is not None:
            assert_whole(batch)


@given(
    st.lists(
        st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"1", b"NaN", b" ", b"\xff"]), max_size=40
    )
)
def test_arbitrary_punctuation_gives_verdicts_or_an_input_error(parts: list[bytes]) -> None:
    batch = verdicts(b"[" + b"".join(parts) + b"]")
    if batch is not None:
        assert_whole(batch)


@given(st.lists(damaged_events() | values, max_size=5))
@settings(max_examples=300)
def test_each_element_of_an_array_gets_one_verdict(elements: list[Any]) -> None:
    body = json.dumps(elements).encode("utf-8", "surrogatepass")
    batch = decode_batch(body, NOW)
    assert len(batch.events) + len(batch.rejected) == len(elements)
    assert_whole(batch)


@given(st.lists(damaged_events(), max_size=4), st.integers(0, 4))
def test_a_bad_event_never_costs_the_others(elements: list[Any], place: int) -> None:
    alone = decode_batch(json.dumps(elements).encode("utf-8", "surrogatepass"), NOW)
    parts = [json.dumps(element).encode("utf-8", "surrogatepass") for element in elements]
    for bad in (b"NaN", b"[" * 2_000 + b"]" * 2_000, b"{,}", b""):
        together = decode_batch(b"[" + b",".join([*parts[:place], bad, *parts[place:]]) + b"]", NOW)
        if bad or elements:
            assert together.events == alone.events
            assert len(together.rejected) == len(alone.rejected) + 1


@given(st.lists(damaged_events(), min_size=1, max_size=4))
def test_lines_and_arrays_get_the_same_verdicts(elements: list[Any]) -> None:
    parts = [json.dumps(element).encode() for element in elements]
    lines, array = decode_lines(b"\n".join(parts), NOW), decode_batch(b"[" + b",".join(parts) + b"]", NOW)
    assert (lines.events, lines.rejected) == (array.events, array.rejected)


@given(st.permutations(range(3)), st.text(max_size=20))
def test_every_text_survives_the_block(order: list[int], text: str) -> None:
    body = json.dumps([{**EXAMPLES[4], "id": f"{n}", "subject": text + "x"} for n in order]).encode()
    batch = decode_batch(body, NOW)
    for event in batch.events:
        assert event.subject == (None if "\0" in text else text + "x")
    assert_whole(batch)


impressions = st.builds(
    ImpressionData,
    impression_id=st.text(min_size=1, max_size=5),
    clip_id=st.text(min_size=1, max_size=5),
    viewer_id=st.text(min_size=1, max_size=5),
    position=st.none() | st.integers(0, 3),
    propensity=st.none() | st.floats(0.001, 1),
    candidates=st.none() | st.integers(1, 3),
    explored=st.none() | st.booleans(),
    surface=st.none() | st.text(min_size=1, max_size=2),
    experiment=st.none()
    | st.lists(st.builds(Experiment, id=st.sampled_from("ab"), variant=st.sampled_from("xy")), max_size=2),
    session_id=st.none() | st.text(min_size=1, max_size=2),
)
KEYS = {"k": b"secret"}


def arms(data: ImpressionData) -> list[tuple[str, str]]:
    return sorted((arm.id, arm.variant) for arm in data.experiment or ())


@given(impressions, impressions)
def test_a_token_holds_for_the_impression_it_was_issued_for_and_no_other(
    issued: ImpressionData, claimed: ImpressionData
) -> None:
    token = sign_impression("t", issued, key_id="k", secret=KEYS["k"], issued=50, expires=100)
    quoted = msgspec.structs.replace(claimed, token=token)
    offer, context = {"surface": None, "experiment": None, "session_id": None}, ("surface", "session_id")
    if msgspec.structs.replace(issued, **offer) != msgspec.structs.replace(claimed, **offer):
        expected = "forged"
    elif all(getattr(issued, name) in (None, getattr(claimed, name)) for name in context) and (
        issued.experiment is None or arms(issued) == arms(claimed)
    ):
        expected = "token"  # what the slate was not asked for the impression may say
    else:
        expected = "misplaced"
    assert impression_trust("t", quoted, KEYS, 99) == expected
    own = msgspec.structs.replace(issued, token=token)
    assert impression_trust("t", own, KEYS, 99) == "token"
    assert impression_trust("t", own, KEYS, 100) == "expired"
    assert impression_trust("rival", own, KEYS, 99) == "forged"


@given(impressions, impressions)
def test_an_answer_that_quotes_the_token_of_its_impression_is_believed_and_no_other(
    issued: ImpressionData, other: ImpressionData
) -> None:
    whole = sign_impression("t", issued, key_id="k", secret=KEYS["k"], issued=50, expires=100)
    short = sign_answer("t", issued.impression_id, key_id="k", secret=KEYS["k"])
    for token in (whole, short):
        assert answer_trust("t", issued.impression_id, token, KEYS) == "token"
        told = "token" if other.impression_id == issued.impression_id else "unvouched"
        assert answer_trust("t", other.impression_id, token, KEYS) == told
        assert answer_trust("rival", issued.impression_id, token, KEYS) == "unvouched"
        assert answer_trust("t", issued.impression_id, token, {"k": b"another"}) == "unvouched"
    assert impression_trust("t", msgspec.structs.replace(issued, token=short), KEYS, 99) == "forged"


def test_a_token_of_version_1_still_vouches_for_its_impression() -> None:
    data = ImpressionData(impression_id="i", clip_id="c", viewer_id="v", position=2, propensity=0.25)
    data = msgspec.structs.replace(data, token="v1.k.100.G_-WHZGcCUxfpS74BgKIDAtHsu5cEad4YktWmB72XH8")
    assert impression_trust("t", data, KEYS, 99) == "token"
    assert impression_trust("t", msgspec.structs.replace(data, position=1), KEYS, 99) == "forged"
    assert answer_trust("t", "i", data.token, KEYS) == "unvouched"


def test_a_token_of_version_2_still_vouches_for_its_impression_on_any_surface() -> None:
    data = ImpressionData(impression_id="i", clip_id="c", viewer_id="v", position=2, propensity=0.25, surface="any")
    token = "v2.k.100.6SAVvFyNsB-AbIM395EiYKGCWVPl6SwEuALctKv15BI.VJwcnTc_NdSx5-0fOEPCxA"
    data = msgspec.structs.replace(data, token=token)
    assert impression_trust("t", data, KEYS, 99) == "token"
    assert impression_trust("t", data, KEYS, 100) == "expired"
    assert impression_trust("t", msgspec.structs.replace(data, position=1), KEYS, 99) == "forged"
    assert answer_trust("t", "i", token, KEYS) == "token"


@given(st.lists(st.sampled_from([str(n) for n in range(20)]), max_size=10).map(".".join))
def test_no_part_of_a_token_can_be_exchanged(parts: str) -> None:
    data = ImpressionData(impression_id="i", clip_id="c", viewer_id="v", surface="feed")
    token = sign_impression("t", data, key_id="k", secret=KEYS["k"], issued=50, expires=100)
    for place, part in enumerate(token.split(".")):
        changed = token.split(".")
        changed[place] = parts
        if parts != part:
            assert impression_trust("t", msgspec.structs.replace(data, token=".".join(changed)), KEYS, 99) == "forged"


@pytest.mark.parametrize(
    ("shown", "trust"),
    [(None, "token"), (5_000, "token"), (1_400, "token"), (1_399, "mistimed"), (8_600, "token"), (8_601, "mistimed")],
)
def test_a_token_holds_for_the_hours_from_its_slate_to_now(shown: float | None, trust: str) -> None:
    data = ImpressionData(impression_id="i", clip_id="c", viewer_id="v")
    token = sign_impression("t", data, key_id="k", secret=KEYS["k"], issued=5_000, expires=90_000)
    assert impression_trust("t", msgspec.structs.replace(data, token=token), KEYS, 5_000, shown) == trust


@given(st.text(max_size=60) | st.lists(st.text(max_size=6), max_size=6).map(".".join))
def test_no_text_makes_the_token_check_fail(token: str) -> None:
    assert answer_trust("t", "i", token, KEYS) == "unvouched"
    data = ImpressionData(impression_id="i", clip_id="c", viewer_id="v", token=token)
    assert impression_trust("t", data, KEYS, 0) == "forged"


@given(st.binary(min_size=1, max_size=40), st.integers(min_value=0))
def test_a_flipped_byte_in_a_block_is_found(noise: bytes, place: int) -> None:
    events = encode_events(decode_batch(json.dumps(EXAMPLES).encode(), NOW).events)
    block = encode_block(events, len(EXAMPLES), tenant="t", received_at=NOW)
    body = block.index(b"\n") + 1
    at = body + place % (len(block) - body)
    damaged = block[:at] + bytes([block[at] ^ (noise[0] or 1)]) + block[at + 1 :]
    with pytest.raises(CorruptBlockError):
        decode_block(damaged)
