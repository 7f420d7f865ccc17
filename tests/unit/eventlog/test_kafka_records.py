"""Blocks become Kafka records and records become blocks; what cannot be read becomes a dead letter."""

import datetime as dt
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sdk_messages import assert_understood, messages

from clapometer.domain import RejectedEvent, TerminalError, decode_block, decode_event, encode_block, encode_events
from clapometer.eventlog.kafka.records import (
    BLOCK_TYPE,
    CONTEXT,
    EVENT_TYPE,
    MERGED_EVENTS,
    block_records,
    event_records,
    split_block,
    to_blocks,
)

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
NOW_MS = int(NOW.timestamp() * 1000)


class Found(NamedTuple):
    offset: int
    value: bytes | None
    headers: list
    timestamp: int = NOW_MS


def event(number: int, padding: int = 0) -> bytes:
    written = (
        b'{"type":"clapometer.impression.v1","specversion":"1.0","id":"e%d","source":"/app",'
        b'"time":"2026-05-01T12:00:00Z","data":{"impression_id":"i%d","clip_id":"c","viewer_id":"v%s"}}'
        % (number, number, b"x" * padding)
    )
    return encode_events([decode_event(written)]).rstrip()


def block(count: int, rejected: int = 0, padding: int = 0, raw: str = "?") -> bytes:
    return encode_block(
        b"".join(event(number, padding) + b"\n" for number in range(count)),
        count,
        tenant="acme",
        received_at=NOW,
        rejected=[RejectedEvent(reason=f"bad {number}", raw=raw) for number in range(rejected)],
        key_id="k1",
        trust="token",
        exceptions={1: "forged"} if count > 1 else {},
        trace_id="t1",
    )


def found(outgoing, start: int = 0) -> list[Found]:
    return [Found(start + index, each.value, each.headers) for index, each in enumerate(outgoing)]


def blocks(*records: Found):
    return to_blocks(3, records, "default", "key")


def lines(records) -> list[bytes]:
    return [line for record in records for line in decode_block(record.block).events]


def only_rejected(records) -> RejectedEvent:
    (record,) = records
    decoded = decode_block(record.block)
    assert decoded.events == []
    (line,) = decoded.rejected
    return msgspec.json.decode(line, type=RejectedEvent)


@pytest.mark.parametrize(
    ("value", "headers", "reason", "field"),
    [
        (None, [], "the record has no value", ""),
        (b"", [], "the record has no value", ""),
        (b"not json", [], "", ""),
        (b"\xff\xfe", [], "", ""),
        (b'"text"', [], "", ""),
        (b'{"type":"clapometer.like.v9"}', [], "", ""),
        (b"\x00\x01avro", [("content-type", b"application/avro")], "application/avro is not read here", "content-type"),
        (b"{}", [("ce_id", b"\xff")], "a ce_ header is not UTF-8", ""),
        (event(1), [(CONTEXT, b"{}")], "record header cannot be read", CONTEXT),
        (event(1), [("content-type", None), (CONTEXT, b'{"tenant":1}')], "record header cannot be read", CONTEXT),
    ],
)
def test_a_poison_record_becomes_a_dead_letter_at_its_offset(value, headers, reason, field):
    records = blocks(Found(7, value, headers))
    rejected = only_rejected(records)
    assert records[0].offset == 7
    assert reason in rejected.reason
    assert rejected.reason
    assert rejected.field == field or not field


def test_a_poison_record_does_not_cost_its_neighbours():
    records = blocks(Found(0, event(0), []), Found(1, b"poison", []), Found(2, event(2), []))
    assert [record.offset for record in records] == [0, 1, 2]
    assert lines(records) == [event(0), event(2)]


def test_a_record_without_a_time_is_read_as_of_1970_and_its_event_refused():
    rejected = only_rejected(blocks(Found(0, event(0), [], timestamp=-1)))
    assert "in the future" in rejected.reason


def test_a_block_goes_through_byte_for_byte_even_a_broken_one():
    whole = block(3)
    (record,) = blocks(Found(5, whole[:-4], [("content-type", BLOCK_TYPE)]))
    assert record == (3, 5, whole[:-4])
    assert [record.block for record in blocks(*found(block_records(whole, 1 << 20)))] == [whole]


def test_a_foreign_event_gets_the_tenant_and_trust_of_the_settings_and_the_brokers_clock():
    (record,) = to_blocks(0, [Found(0, event(0), [("content-type", b"application/cloudevents+json")])], "shop", "none")
    header = decode_block(record.block).header
    assert (header.tenant, header.trust, header.received_at) == ("shop", "none", NOW)


def test_a_batch_of_foreign_events_in_one_record_is_taken():
    body = b"[" + event(0) + b"," + event(1) + b"]"
    records = blocks(Found(0, body, [("content-type", b"application/cloudevents-batch+json; charset=UTF-8")]))
    assert lines(records) == [event(0), event(1)]


def test_an_event_in_binary_mode_is_taken():
    whole = msgspec.json.decode(event(0))
    data = msgspec.json.encode(whole.pop("data"))
    headers = [(f"ce_{name}", value.encode()) for name, value in whole.items()]
    assert lines(blocks(Found(0, data, [("content-type", b"application/json"), *headers]))) == [event(0)]


@pytest.mark.parametrize("message", messages("kafka"), ids=str)
def test_what_the_official_sdks_write_is_taken(message):
    (line,) = lines(blocks(Found(0, message.body, message.headers)))
    assert_understood(decode_event(line))


def test_the_names_of_headers_may_have_capitals():
    whole = msgspec.json.decode(event(0))
    data = msgspec.json.encode(whole.pop("data"))
    headers = [(f"CE_{name}", value.encode()) for name, value in whole.items()]
    assert lines(blocks(Found(0, data, [("Content-Type", b"application/json; charset=utf-8"), *headers]))) == [event(0)]


def test_a_structured_event_may_bear_the_headers_of_binary_mode():
    headers = [("content-type", EVENT_TYPE), ("ce_id", b"other")]
    assert lines(blocks(Found(0, event(1), headers))) == [event(1)]


def test_events_of_one_block_come_back_as_one_block_with_all_it_knew():
    original = decode_block(block(1, padding=5))
    (record,) = blocks(*found(event_records(block(1, padding=5), 1 << 20), start=10))
    assert decode_block(record.block) == original
    assert record.offset == 10


def test_every_event_record_is_a_structured_cloud_event():
    for outgoing in event_records(block(3), 1 << 20):
        assert dict(outgoing.headers)["content-type"] == EVENT_TYPE
        decode_event(outgoing.value)


def test_events_and_dead_letters_keep_order_trust_and_reason_through_event_records():
    records = blocks(*found(event_records(block(4, rejected=2), 1 << 20)))
    decoded = [decode_block(record.block) for record in records]
    assert lines(records) == [event(number) for number in range(4)]
    assert [each.header.trust for each in decoded] == ["token", "forged", "token", "token"]
    assert [len(each.rejected) for each in decoded] == [0, 0, 0, 2]
    assert [record.offset for record in records] == [0, 1, 3, 4]


def test_a_long_run_of_events_is_cut_into_blocks():
    records = blocks(*(Found(number, event(number), []) for number in range(MERGED_EVENTS + 1)))
    assert [record.offset for record in records] == [MERGED_EVENTS - 1, MERGED_EVENTS]


@given(count=st.integers(0, 30), rejected=st.integers(0, 5), padding=st.integers(0, 100), room=st.integers(900, 4000))
def test_a_split_block_holds_the_same_lines_in_blocks_that_fit(count, rejected, padding, room):
    whole = block(count, rejected, padding)
    parts = [decode_block(part) for part in split_block(whole, room)]
    original = decode_block(whole)
    assert all(len(part) <= room for part in split_block(whole, room))
    assert [line for part in parts for line in part.events] == original.events
    assert [line for part in parts for line in part.rejected] == original.rejected
    trusts = [
        part.header.exceptions.get(index, part.header.trust) for part in parts for index in range(len(part.events))
    ]
    assert trusts == [original.header.exceptions.get(index, original.header.trust) for index in range(count)]


def test_a_dead_letter_too_long_for_a_record_is_cut_and_keeps_its_reason():
    (part,) = split_block(block(0, rejected=1, raw="\x01" * 5000), 2000)
    (line,) = decode_block(part).rejected
    kept = msgspec.json.decode(line, type=RejectedEvent)
    assert kept.reason == "bad 0"
    assert 0 < len(kept.raw) < 5000


def test_an_event_too_long_for_a_record_names_the_setting():
    for split in (block_records, event_records):
        with pytest.raises(TerminalError, match="max_block_bytes=100;"):
            split(block(1), 100)
    with pytest.raises(TerminalError, match="max_block_bytes=10"):
        block_records(b"this is no block", 10)
