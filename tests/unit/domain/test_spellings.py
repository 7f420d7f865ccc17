"""What is right in its own format is taken, whatever its spelling; what it says is stored exactly."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import NOW

from clapometer.collector import event_examples
from clapometer.domain import EVENT_TYPES, InputError, decode_batch, decode_event, decode_lines, encode_events
from clapometer.domain.events import MAX_SEED, MIN_SEED

EXAMPLES = event_examples(NOW)
FULL: dict[str, dict[str, Any]] = {
    **{name: event["data"] for name, event in EXAMPLES.items()},
    "clip_registered": {
        "clip_id": "c",
        "prompt": {"text": "a", "hash": "h", "negative": "n", "lang": "en"},
        "model": {"name": "m", "version": "1"},
        "duration_ms": 3000,
        "task": "t2v",
        "template": {"id": "t", "version": "1", "vars": {"a": 1}},
        "seed": 7,
        "params": {"steps": 30},
        "references": [{"role": "first", "media": "image", "sha256": "a" * 64, "rights_id": "r"}],
        "lineage": {
            "parent_clip_id": "p", "relation": "edit", "batch_id": "b", "product_id": "p", "campaign_id": "c",
            "series_id": "s", "episode": 3, "audience": "home", "scenario": "x", "creator_id": "me",
        },
        "cost": {"gpu_seconds": 1.5, "amount": 0.5, "currency": "EUR", "queue_ms": 20},
        "content_hash": "h",
        "flags": {"watermark": True, "ad": True, "repost_of": "o"},
        "provenance": {"manifest_id": "m"},
        "training_allowed": True,
    },
    "impression": {
        **EXAMPLES["impression"]["data"], "experiment": [{"id": "e", "variant": "v"}], "audience": "home",
        "muted_start": True, "autoplay": True, "token": "t",
    },
    "watched": {
        "impression_id": "i", "watched_ms": 5000, "played_segments": [[0, 5000]], "total_ms": 9000, "muted_ms": 1,
        "paused_ms": 2, "loops": 1, "max_position_ms": 5000, "end_reason": "ended", "token": "t",
    },
    "reacted": {"impression_id": "i", "reaction": "like", "undone": True, "channel": "c", "reason": "r", "token": "t"},
    "converted": {**EXAMPLES["converted"]["data"], "token": "t"},
    "voted": {**EXAMPLES["voted"]["data"], "left_token": "t", "right_token": "t"},
    "creator_acted": {**EXAMPLES["creator_acted"]["data"], "prompt_id": "p"},
}  # fmt: skip
"""Every event type with every field of its data."""

Path = tuple[str | int, ...]


def event(name: str, data: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    return {**EXAMPLES[name], "data": FULL[name] if data is None else data, **attributes}


def raw(name: str, data: dict[str, Any] | None = None, **attributes: Any) -> bytes:
    return json.dumps(event(name, data, **attributes)).encode()


def plain(kind: types.Type) -> types.Type:
    if isinstance(kind, types.Metadata):
        return plain(kind.type)
    if isinstance(kind, types.UnionType):
        rest = [member for member in kind.types if not isinstance(member, types.NoneType)]
        return plain(rest[0]) if len(rest) == 1 else kind
    return kind


def fields(kind: types.Type, path: Path = ()) -> Iterator[tuple[Path, types.Type, bool]]:
    """Yields path, type and whether it is needed of every field in a type, of list items too."""
    match plain(kind):
        case types.StructType(fields=found):
            for field in found:
                inner = (*path, field.encode_name)
                yield inner, plain(field.type), field.required
                yield from fields(field.type, inner)
        case types.ListType(item_type=item):
            yield from fields(item, (*path, 0))
        case types.TupleType(item_types=items):
            for place, item in enumerate(items):
                yield (*path, place), plain(item), True


ALL = [
    (str(kind.__struct_config__.tag).split(".")[1], path, field, needed)
    for kind in EVENT_TYPES
    for path, field, needed in fields(next(f.type for f in types.type_info(kind).fields if f.name == "data"))  # type: ignore[attr-defined]
]


def with_value(data: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Returns the data with another value at a path."""
    copied: dict[str, Any] = json.loads(json.dumps(data))
    place: Any = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


def at(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


def name_of(case: tuple[str, Path, types.Type, bool]) -> str:
    return f"{case[0]}.{'.'.join(map(str, case[1]))}"


WHOLE = [case for case in ALL if isinstance(case[2], types.IntType)]
OPTIONAL = [case for case in ALL if not case[3]]
PATTERNED = [case for case in ALL if isinstance(case[2], types.StrType) and case[2].pattern]


def test_the_events_of_these_tests_have_every_field() -> None:
    for name, path, _, _ in ALL:
        at(FULL[name], path)
    assert len(WHOLE) > 12
    assert len(OPTIONAL) > 50
    assert len(PATTERNED) == 3


@pytest.mark.parametrize("case", WHOLE, ids=name_of)
@pytest.mark.parametrize("spelling", ["{}.0", "{}.000", "{}e0", "{}.0e0", "{}E+0"])
def test_a_whole_number_may_be_spelt_as_json_schema_allows(case: tuple[Any, ...], spelling: str) -> None:
    name, path, _, _ = case
    value = at(FULL[name], path)
    text = raw(name, with_value(FULL[name], path, "@")).replace(b'"@"', spelling.format(value).encode())
    assert decode_event(text) == decode_event(raw(name))
    assert encode_events([decode_event(text)]) == encode_events([decode_event(raw(name))])


@pytest.mark.parametrize("case", WHOLE, ids=name_of)
@pytest.mark.parametrize("value", ["3.5", "1e-3", "1e400", "1e99999999999999999999", '"3"', "true", "1e30"])
def test_what_is_no_whole_number_of_the_field_is_refused_by_its_name(case: tuple[Any, ...], value: str) -> None:
    name, path, _, _ = case
    text = raw(name, with_value(FULL[name], path, "@")).replace(b'"@"', value.encode())
    with pytest.raises(InputError) as refused:
        decode_event(text)
    assert refused.value.field.startswith("data." + str(path[0]))


@given(st.integers(MIN_SEED, MAX_SEED))
def test_a_seed_is_taken_exactly_in_every_spelling(seed: int) -> None:
    for spelt in (f"{seed}", f"{seed}.0", f"{seed}.00e0", f"{seed * 10}e-1"):
        text = raw("clip_registered", with_value(FULL["clip_registered"], ("seed",), "@"))
        (line,) = encode_events([decode_event(text.replace(b'"@"', spelt.encode()))]).splitlines()
        assert json.loads(line)["data"]["seed"] == seed


@pytest.mark.parametrize("seed", [MAX_SEED + 1, MIN_SEED - 1, 10**30, -(10**30)])
def test_a_seed_beyond_64_bits_is_refused_by_name(seed: int) -> None:
    with pytest.raises(InputError, match=f"from {MIN_SEED} to {MAX_SEED}") as refused:
        decode_event(raw("clip_registered", with_value(FULL["clip_registered"], ("seed",), seed)))
    assert refused.value.field == "data.seed"


@pytest.mark.parametrize("case", OPTIONAL, ids=name_of)
def test_null_of_an_optional_field_is_absence(case: tuple[Any, ...]) -> None:
    name, path, _, _ = case
    absent: Any = json.loads(json.dumps(FULL[name]))
    del at(absent, path[:-1])[path[-1]]
    if path == ("currency",):
        del absent["value"]  # which needs it
    accepted = decode_event(raw(name, with_value({**absent, path[0]: FULL[name][path[0]]}, path, None)))
    assert meant(accepted.data) == meant(decode_event(raw(name, absent)).data)


def meant(data: Any) -> Any:
    """Returns data as the lake knows it: what is false, null or the default is not there."""
    defaults = (None, False, "clip")
    if isinstance(data, msgspec.Struct):
        return {key: meant(getattr(data, key)) for key in data.__struct_fields__ if getattr(data, key) not in defaults}
    return [meant(item) for item in data] if isinstance(data, list) else data


@pytest.mark.parametrize("case", PATTERNED, ids=name_of)
def test_a_pattern_means_the_same_to_us_as_to_a_browser(case: tuple[Any, ...]) -> None:
    name, path, kind, _ = case
    good = at(FULL[name], path)
    for ending in ("\n", " ", "\r\n", "\u2028"):
        with pytest.raises(InputError) as refused:
            decode_event(raw(name, with_value(FULL[name], path, good + ending)))
        assert refused.value.field == "data." + re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, path)))
    assert kind.pattern.startswith("^")
    assert kind.pattern.endswith("$")
    assert "(?" not in kind.pattern  # as ECMA reads it


ATTRIBUTES: dict[str, Any] = {
    "datacontenttype": "Application/JSON; charset=UTF-8",
    "dataschema": "https://schemas.example/" + "x" * 3_000,
    "subject": "s" * 500,
    "traceparent": "not a trace",
    "tracestate": "vendor=" + "x" * 500,
    "partitionkey": "clip-1",
    "sequence": "00001",
    "sequencetype": "Integer",
    "dataref": "https://example.org/1",
    "sampledrate": 30,
    "expirytime": "2030-01-01T00:00:00Z",
    "baggage": "a=b",
    "comexampleextension1": {"any": [1, None]},
    "flag": True,
}


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("value", ["given", None, 5, "", "a\0b", ["x"]])
def test_a_context_attribute_never_costs_an_event(name: str, value: Any) -> None:
    given = ATTRIBUTES[name] if value == "given" else value
    decoded = decode_event(raw("reacted", **{name: given}))
    assert decoded.data == decode_event(raw("reacted")).data
    kept = encode_events([decoded])
    assert decode_event(kept) == decoded
    assert b"\\u0000" not in kept


@pytest.mark.parametrize("name", ["sentAt", "tenant_id", "clip-id", "Colour", "é", ""])
def test_what_is_no_attribute_by_its_name_is_a_slip_and_told(name: str) -> None:
    with pytest.raises(InputError) as refused:
        decode_event(raw("reacted", **{name: "x"}))
    assert refused.value.field == name
    assert "lower-case letters and digits" in refused.value.reason


def test_an_unknown_field_of_data_is_still_refused() -> None:
    with pytest.raises(InputError) as refused:
        decode_event(raw("reacted", {**FULL["reacted"], "emoji": 1}, tracestate="a=b"))
    assert refused.value.field == "data.emoji"


def test_data_may_come_as_base64_of_its_json() -> None:
    packed = base64.b64encode(json.dumps(FULL["watched"]).encode()).decode()
    written = event("watched", data_base64=packed)
    del written["data"]
    assert decode_event(json.dumps(written).encode()).data == decode_event(raw("watched")).data
    for wrong in ("%%%", base64.b64encode(b"\xff").decode(), 5):
        with pytest.raises(InputError) as refused:
            decode_event(json.dumps({**written, "data_base64": wrong}).encode())
        assert refused.value.field == "data_base64"
    with pytest.raises(InputError, match="data_base64"):
        decode_event(raw("watched", data_base64=packed))


GOOD = raw("reacted")
BODIES = {
    "a byte order mark": b"\xef\xbb\xbf%s",
    "a mark and blanks": b"\xef\xbb\xbf \r\n%s\r\n\r\n",
    "U+0000 at the end": b"%s\0\0",
    "a newline and U+0000": b"%s\r\n\0",
    "blanks": b" \t\r\n%s \t\r\n",
}


@pytest.mark.parametrize("around", BODIES)
@pytest.mark.parametrize("body", [GOOD, b"[" + GOOD + b"]", b"[" + GOOD + b",\r\n" + GOOD + b"]"])
def test_what_stands_around_json_costs_nothing(around: str, body: bytes) -> None:
    batch = decode_batch(BODIES[around] % body, NOW)
    assert (len(batch.events), batch.rejected) == (body.count(b"specversion"), [])


@pytest.mark.parametrize("around", BODIES)
def test_what_stands_around_lines_costs_nothing(around: str) -> None:
    lines = b"\r\n".join([GOOD, b"", GOOD, b"  ", b"\xef\xbb\xbf" + GOOD])
    batch = decode_lines(BODIES[around] % lines, NOW)
    assert (len(batch.events), batch.rejected) == (3, [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("decode", [decode_batch, decode_lines])
@pytest.mark.parametrize("text", [GOOD, b"[" + GOOD + b"]"])
def test_another_encoding_is_named(encoding: str, decode: Any, text: bytes) -> None:
    with pytest.raises(InputError, match=r"UTF-(16|32).*; send it as UTF-8"):
        decode(text.decode().encode(encoding), NOW)
