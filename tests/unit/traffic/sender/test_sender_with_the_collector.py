"""The sender against the collector as it runs: what is acknowledged is in the log."""

import collections
import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.collector.conftest import Collector

from clapometer.collector import CollectorConfig
from clapometer.domain import Event, TerminalError, events
from clapometer.simulation import WorldConfig
from clapometer.traffic import SendOptions, TrafficOptions, build_traffic, send

SMALL = WorldConfig(n_prompts=200, n_sessions=280, n_viewers=100, bots=2, n_models=5)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    running = Collector(tmp_path, CollectorConfig())
    yield running
    running.stop()


def simulated(collector: Collector) -> Iterator[Event]:
    return build_traffic(SMALL, TrafficOptions(seed=1, until=collector.now)).events()


def options(collector: Collector, key: str | None = None, **changes: object) -> SendOptions:
    given = {"url": f"http://127.0.0.1:{collector.port}", "key": key or collector.secret} | changes
    return SendOptions(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_simulated_world_arrives_whole(collector: Collector, compression: str) -> None:
    report = send(simulated(collector), options(collector, compression=compression))
    assert collections.Counter(collector.stored_ids()) == {event.id: 1 for event in simulated(collector)}
    assert (report.acknowledged, report.rejected) == (len(collector.stored_ids()), 0)


def test_a_second_run_sends_the_same_ids_again(collector: Collector) -> None:
    for _ in range(2):
        send(simulated(collector), options(collector))
    assert set(collections.Counter(collector.stored_ids()).values()) == {2}


def test_events_that_cannot_be_are_rejected_one_by_one_with_the_collectors_reason(collector: Collector) -> None:
    data = events.ReactedData(impression_id="i", reaction="like")
    late = events.Reacted(
        specversion="1.0", id="late", source="/t", time=collector.now + dt.timedelta(days=9), data=data
    )
    report = send(itertools.chain([late], simulated(collector)), options(collector))
    assert report.rejected == 1
    (reason,) = report.reasons
    assert "24 hours in the future" in reason
    assert [letter["id"] for letter in collector.dead_letters()] == ["late"]


def test_a_batch_of_nothing_but_bad_events_has_a_reason_for_each(collector: Collector) -> None:
    data = events.ReactedData(impression_id="i", reaction="like")
    long_ago = dt.datetime(1999, 1, 1, tzinfo=dt.UTC)
    old = [events.Reacted(specversion="1.0", id=f"old{i}", source="/t", time=long_ago, data=data) for i in range(7)]
    report = send(old, options(collector))
    assert (report.acknowledged, report.rejected, len(report.reasons)) == (0, 7, 1)


def test_a_publishable_key_is_told_to_be_replaced_by_a_secret_one(collector: Collector) -> None:
    with pytest.raises(TerminalError, match=r"HTTP 403.*secret key"):
        send(simulated(collector), options(collector, key=collector.publishable))


def test_a_wrong_key_is_told_so(collector: Collector) -> None:
    with pytest.raises(TerminalError, match=r"HTTP 401.*key"):
        send(simulated(collector), options(collector, key="csk_nobody_knows"))


def test_batches_larger_than_the_collector_takes_are_split(collector: Collector) -> None:
    report = send(simulated(collector), options(collector, batch=2000))
    assert report.rejected == 0
    assert report.acknowledged == len(collector.stored_ids())
