"""Reasons that a person can act on."""

import datetime as dt
import json

import pytest

from clapometer.domain import CODES, InputError, TooManyEventsError, decode_batch, decode_event, split_array
from clapometer.domain.codec import MAX_REJECTED_BYTES
from clapometer.domain.splitting import deeper_than

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/s",
    "type": "clapometer.voted.v1",
    "time": "2026-06-01T12:00:00Z",
    "data": {"left_impression_id": "a", "right_impression_id": "b", "result": "left"},
}


def refusal(**changes: object) -> InputError:
    with pytest.raises(InputError) as caught:
        decode_event(json.dumps({**EVENT, **changes}).encode())
    return caught.value


def test_the_allowed_values_are_named_also_in_maps() -> None:
    error = refusal(data={**EVENT["data"], "axes": {"motion": "lefft"}})  # type: ignore[dict-item]
    assert error.field == "data.axes[...]"
    assert error.reason == "'lefft' is not known here; send one of both_bad, left, right, tie"


def test_the_place_in_a_list_is_named() -> None:
    data = {"impression_id": "a", "clip_id": "c", "viewer_id": "v"}
    experiment = [{"id": "e", "variant": "x"}, {"id": "f"}]
    error = refusal(type="clapometer.impression.v1", data={**data, "experiment": experiment})
    assert error.field == "data.experiment[1].variant"


def test_a_pattern_and_a_length_are_named() -> None:
    data = {"impression_id": "a", "kind": "purchase", "currency": "euro"}
    wrong = refusal(type="clapometer.converted.v1", data=data)
    assert (wrong.code, wrong.reason) == (
        "out_of_range",
        "must be a string of length at most 3; correct it (an ISO 4217 code such as EUR)",
    )
    assert "'^[A-Z]{3}$'" in refusal(type="clapometer.converted.v1", data={**data, "currency": "eur"}).reason
    assert "of length at most 200" in refusal(id="x" * 201).reason


@pytest.mark.parametrize(("seconds", "accepted"), [(86_399, 1), (86_400, 0), (-315_619_199, 1), (-315_619_200, 0)])
def test_the_clock_may_be_a_day_ahead_and_ten_years_behind(seconds: int, accepted: int) -> None:
    time = (NOW + dt.timedelta(seconds=seconds)).isoformat()
    assert len(decode_batch(json.dumps([{**EVENT, "time": time}]).encode(), NOW).events) == accepted


def test_a_clock_that_is_years_off_is_mended_by_sentat() -> None:
    wrong = {**EVENT, "time": "1970-01-01T00:00:10Z", "sentat": "1970-01-01T00:01:00Z"}
    assert len(decode_batch(json.dumps([wrong]).encode(), NOW).events) == 1


def test_sentat_cannot_move_an_event_out_of_bounds() -> None:
    wrong = {**EVENT, "sentat": "2000-01-01T00:00:00Z"}
    (letter,) = decode_batch(json.dumps([wrong]).encode(), NOW).rejected
    assert letter.field == "time"


def test_of_a_long_dead_letter_the_beginning_is_kept() -> None:
    body = json.dumps([{**EVENT, "Colour": "é" * 100_000}], ensure_ascii=False).encode()
    (letter,) = decode_batch(body, NOW).rejected
    assert len(letter.raw) <= MAX_REJECTED_BYTES * 4 / 3 + 4
    assert letter.id == "1"


def test_an_array_is_cut_at_its_own_commas_only() -> None:
    assert split_array(b'[{"a":"],[\\"","b":[1,2]}, NaN ,"x,y"]') == [b'{"a":"],[\\"","b":[1,2]}', b"NaN", b'"x,y"']


def test_cutting_stops_at_the_limit() -> None:
    with pytest.raises(TooManyEventsError):
        split_array(b"[" + b"NaN," * 1_000_000 + b"1]", 500)


def test_depth_counts_brackets_outside_strings() -> None:
    assert not deeper_than(b'["[[[[[[", [[]]]', 3)
    assert deeper_than(b"[[[[", 3)


def test_every_missing_field_is_named_at_once() -> None:
    data = {"prompt": {"text": "a"}, "model": {"name": "m"}, "references": [{"role": "x", "media": "y"}, {"role": "x"}]}
    wrong = {"type": "clapometer.clip_registered.v1", "id": "1", "data": data}
    with pytest.raises(InputError) as caught:
        decode_event(json.dumps(wrong).encode())
    assert (caught.value.code, caught.value.field) == ("missing_field", "specversion")
    assert caught.value.reason == (
        "required fields are missing: specversion, source, time, data.clip_id, data.model.version, data.duration_ms, "
        "data.task, data.references[1].media; add them"
    )


def test_what_a_missing_object_needs_is_named_with_it() -> None:
    context = {"specversion": "1.0", "id": "1", "source": "/s", "time": "2026-01-31T12:00:00Z"}
    with pytest.raises(InputError) as caught:
        decode_event(json.dumps({**context, "type": "clapometer.impression.v1"}).encode())
    assert caught.value.reason == (
        "required fields are missing: data.impression_id, data.clip_id, data.viewer_id; add them"
    )
    with pytest.raises(InputError) as caught:
        decode_event(json.dumps({**context, "type": "clapometer.clip_registered.v1"}).encode())
    assert caught.value.reason == (
        "required fields are missing: data.clip_id, data.prompt, data.model.name, data.model.version, "
        "data.duration_ms, data.task; add them"
    )


@pytest.mark.parametrize("kind", [5, None, ["clapometer.watched.v1"], {}])
def test_a_type_that_is_no_text_is_told_so(kind: object) -> None:
    error = refusal(type=kind)
    assert (error.field, error.code) == ("type", "wrong_type")
    assert error.reason == "must be a string; send a string"


def test_what_an_event_without_a_type_lacks_is_named_too() -> None:
    with pytest.raises(InputError) as caught:
        decode_event(b'{"id": "1", "data": {}}')
    assert caught.value.reason == "required fields are missing: type, specversion, source, time; add them"


def test_another_fault_does_not_hide_what_is_missing() -> None:
    for data in ({"reaction": "lik"}, {"reaction": "like", "emoji": 1}, {"reaction": 5}):
        error = refusal(type="clapometer.reacted.v1", data=data)
        assert error.reason.endswith(" (also missing: data.impression_id)")
    assert refusal(type="clapometer.reacted.v1", data={"reaction": "like"}).reason == (
        "required field is missing; add it"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "clapometer.liked.v1"}, "unknown_type"),
        ({"id": 5}, "wrong_type"),
        ({"id": ""}, "out_of_range"),
        ({"specversion": "0.3"}, "unknown_value"),
        ({"time": "yesterday"}, "wrong_form"),
        ({"time": "2026-01-01T00:00:00"}, "wrong_form"),
        ({"data": {}}, "missing_field"),
        ({"data": {**EVENT["data"], "a": 1}}, "unknown_field"),  # type: ignore[dict-item]
        ({"data": "\0"}, "wrong_type"),
        ({"id": "\0"}, "zero_character"),
        ({"type": "clapometer.watched.v1", "data": {"impression_id": "i"}}, "inconsistent"),
    ],
)
def test_a_refusal_has_a_code_of_the_closed_list(changes: dict[str, object], code: str) -> None:
    assert refusal(**changes).code == code
    assert code in CODES


def test_lines_of_events_that_are_called_json_are_told_their_content_type() -> None:
    body = b"\n".join([json.dumps(EVENT).encode()] * 2)
    batch = decode_batch(body, NOW)
    assert batch.events == []
    assert [line.reason.endswith("or a line each as application/x-ndjson") for line in batch.rejected] == [True]
