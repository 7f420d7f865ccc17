import asyncio
import collections
import datetime as dt
import itertools
from collections.abc import Iterator

import pytest
from tests.support.waiting import until
from tests.unit.traffic.sender.scripted_server import Answer, ScriptedServer, scripted_server

from clapometer.domain import Event, InputError, TerminalError, events
from clapometer.traffic import SendFailedError, SendOptions, SendReport, send, send_async

AT = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


def reactions(n: int) -> Iterator[Event]:
    for i in range(n):
        data = events.ReactedData(impression_id=f"i{i}", reaction="like")
        yield events.Reacted(specversion="1.0", id=f"r{i}", source="/test", time=AT, data=data)


def options(server: ScriptedServer, **changes: object) -> SendOptions:
    given = {"url": server.url, "key": "csk_test", "batch": 10, "first_wait_s": 0.001} | changes
    return SendOptions(**given)  # type: ignore[arg-type]


class Waits(list[float]):
    """Remembers how long the sender would have slept."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)


def test_every_event_is_acknowledged_once_and_no_batch_is_too_large() -> None:
    with scripted_server() as server:
        report = send(reactions(95), options(server, connections=3))
    assert (report.acknowledged, report.rejected, report.retries) == (95, 0, 0)
    assert sorted(server.ids()) == sorted(f"r{i}" for i in range(95))
    assert sorted(len(request) for request in server.requests) == [5, *[10] * 9]


def test_the_key_and_the_media_type_are_in_the_head() -> None:
    with scripted_server() as server:
        send(reactions(1), options(server))
    assert server.headers[0]["authorization"] == "Bearer csk_test"
    assert server.headers[0]["content-type"] == "application/cloudevents-batch+json"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_sent_again_with_the_same_events(status: int) -> None:
    with scripted_server(Answer(status), Answer(status)) as server:
        report = send(reactions(10), options(server))
    assert (report.acknowledged, report.retries) == (10, 2)
    assert server.requests[0] == server.requests[1] == server.requests[2]


def test_events_whose_answer_was_lost_are_sent_again_with_the_same_ids() -> None:
    with scripted_server(Answer(drop=True)) as server:
        report = send(reactions(10), options(server))
    assert (report.acknowledged, report.retries) == (10, 1)
    assert collections.Counter(server.ids()) == {f"r{i}": 2 for i in range(10)}


def test_a_wait_is_never_shorter_than_the_server_asks() -> None:
    waits = Waits()
    with scripted_server(Answer(503, headers={"retry-after": "7"})) as server:
        asyncio.run(send_async(reactions(10), options(server), sleep=waits.sleep))
    assert len(waits) == 1
    assert 7 <= waits[0] < 8


def test_a_server_that_stays_away_ends_the_run_with_what_was_acknowledged() -> None:
    waits = Waits()
    with scripted_server(Answer(), *[Answer(503)] * 50) as server:
        slow = options(server, connections=1, patience_s=2, first_wait_s=1.0)
        with pytest.raises(SendFailedError, match=r"HTTP 503.*10 events were acknowledged") as failed:
            asyncio.run(send_async(reactions(20), slow, clock=lambda: sum(waits), sleep=waits.sleep))
    assert failed.value.report.acknowledged == 10
    assert sum(waits) < 2


def test_a_server_that_is_not_there_is_named() -> None:
    nowhere = SendOptions(url="http://127.0.0.1:9", key="k", patience_s=0.01, first_wait_s=0.001)
    with pytest.raises(SendFailedError, match="no answer"):
        send(reactions(1), nowhere)


def test_rejected_events_are_counted_by_reason_and_not_acknowledged() -> None:
    verdicts = [{"index": 3, "id": "r3", "field": "time", "reason": "too old"}, {"index": 4, "reason": "odd"}]
    warnings = [{"index": 5, "id": "r5", "reason": "expired"}]
    with scripted_server(Answer(202, {"accepted": 8, "rejected": verdicts, "warnings": warnings})) as server:
        report = send(reactions(10), options(server))
    assert (report.acknowledged, report.rejected, report.warnings) == (8, 2, 1)
    assert report.reasons == {"time: too old": 1, "odd": 1}


def test_a_request_of_which_nothing_is_accepted_costs_no_other() -> None:
    refused = {"status": 422, "rejected": [{"field": "time", "reason": "too old"}] * 10}
    with scripted_server(Answer(422, refused)) as server:
        report = send(reactions(20), options(server, connections=1))
    assert (report.acknowledged, report.rejected) == (10, 10)
    assert report.reasons == {"time: too old": 10}


def test_a_refusal_without_verdicts_counts_for_each_event() -> None:
    with scripted_server(Answer(422, "what is this?")) as server:
        report = send(reactions(10), options(server))
    assert report.reasons == {"HTTP 422: what is this?": 10}


def test_a_batch_that_is_too_large_for_the_server_is_halved() -> None:
    with scripted_server(Answer(413), Answer(413)) as server:
        report = send(reactions(10), options(server, connections=1))
    assert (report.acknowledged, report.rejected) == (10, 0)
    assert [len(request) for request in server.requests] == [10, 5, 2, 3, 5]


def test_one_event_that_is_too_large_is_rejected() -> None:
    with scripted_server(Answer(413, "too long")) as server:
        report = send(reactions(1), options(server))
    assert report.reasons == {"HTTP 413: too long": 1}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 415])
def test_a_refusal_of_everything_ends_the_run_at_once(status: int) -> None:
    with scripted_server(Answer(status, "the key is unknown")) as server:
        with pytest.raises(TerminalError, match=f"HTTP {status}: the key is unknown"):
            send(reactions(10), options(server))
        assert len(server.requests) == 1


def test_an_answer_of_something_else_than_a_collector_is_no_acknowledgement() -> None:
    with scripted_server(Answer(202, "<html>")) as server, pytest.raises(TerminalError, match="not that of"):
        send(reactions(10), options(server))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_requests_arrive_whole(compression: str) -> None:
    with scripted_server() as server:
        report = send(reactions(25), options(server, compression=compression))
    assert report.acknowledged == 25
    assert sorted(server.ids()) == sorted(f"r{i}" for i in range(25))


def test_an_endless_source_is_read_no_further_than_the_server_answers() -> None:
    read = itertools.count()
    at = -1

    def endless() -> Iterator[Event]:
        nonlocal at
        for event in itertools.chain.from_iterable(map(reactions, itertools.repeat(100))):
            at = next(read)
            yield event

    async def run(server: ScriptedServer) -> None:
        task = asyncio.create_task(send_async(endless(), options(server, connections=2)))
        await asyncio.to_thread(until, lambda: len(server.requests) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with scripted_server(closed_gate=True) as server:
        asyncio.run(run(server))
    assert at < 10 * (2 + 2 + 2)  # under way, queued, and one in the making


def test_the_rate_is_kept() -> None:
    waits = Waits()
    with scripted_server() as server:
        limited = options(server, rate=100.0, connections=1)
        asyncio.run(send_async(reactions(100), limited, clock=lambda: sum(waits), sleep=waits.sleep))
    assert sum(waits) == pytest.approx(1.0)


def test_progress_is_told_after_each_batch() -> None:
    told: list[SendReport] = []
    with scripted_server() as server:
        report = send(reactions(30), options(server, connections=1), progress=told.append)
    assert [now.acknowledged for now in told] == [10, 20, 30]
    assert told[-1].acknowledged == report.acknowledged


def test_a_failure_of_the_source_is_that_of_the_run() -> None:
    def failing() -> Iterator[Event]:
        yield from reactions(3)
        raise InputError("no such column", "file.csv")

    with scripted_server() as server, pytest.raises(InputError, match="no such column"):
        send(failing(), options(server))


def test_no_event_is_no_request() -> None:
    with scripted_server() as server:
        assert send([], options(server)).acknowledged == 0
        assert server.requests == []


@pytest.mark.parametrize(("name", "value"), [("batch", 0), ("rate", -1.0), ("connections", 0), ("url", "host:80")])
def test_options_that_mean_nothing_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        SendOptions(**{"url": "http://h", "key": "k", name: value})  # type: ignore[arg-type]
