"""Rates: what may be sent, how long one waits, and that no clock that is set changes it."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from limits.storage import RedisStorage
from tests.support.ports import free_port
from tests.support.waiting import until

from clapometer.domain import InputError
from clapometer.gate import Rates, SharedStorage, SteadyStorage, open_storage


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_who_has_sent_enough_waits_for_the_end_of_the_window(clock: Clock) -> None:
    rates = Rates({"secret": "20 per 10 seconds"}, SteadyStorage(clock))
    rates.charge("secret", "k", 19)
    assert rates.wait("secret", "k") == 0
    rates.charge("secret", "k", 500)
    clock.now += 4
    assert rates.wait("secret", "k") == pytest.approx(6)
    assert (rates.wait("secret", "other"), rates.wait("publishable", "k")) == (0, 0)
    clock.now += 6
    assert rates.wait("secret", "k") == 0


def test_of_several_windows_the_longest_wait_counts(clock: Clock) -> None:
    rates = Rates({"secret": "5/second; 8/minute"}, SteadyStorage(clock))
    rates.charge("secret", "k", 9)
    assert rates.wait("secret", "k") == pytest.approx(60)


def test_a_wall_clock_that_is_set_back_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = Clock()
    monkeypatch.setattr(time, "monotonic", steady)
    rates = Rates({"secret": "1/second"}, SteadyStorage(time.monotonic))
    rates.charge("secret", "k")
    before = time.time()
    monkeypatch.setattr(time, "time", lambda: before - 48 * 3600)
    assert 0 < rates.wait("secret", "k") <= 1
    steady.now += 1.01
    assert rates.wait("secret", "k") == 0


def test_addresses_that_are_gone_take_no_memory(clock: Clock) -> None:
    storage = SteadyStorage(clock)
    rates = Rates({"address": "5/second"}, storage)
    for n in range(60_000):
        rates.charge("address", str(n))
        clock.now += 0.001
    assert len(storage._windows) < 12_000


@pytest.mark.parametrize("rate", ["", "many", "0/second", "-1/second", "5/fortnight"])
def test_what_spells_no_rate_is_refused_by_the_name_of_its_setting(rate: str) -> None:
    with pytest.raises(InputError, match=r"rate_secret: .* is no rate; write it like 1000/second"):
        Rates({"secret": rate})


@pytest.mark.parametrize("address", ["tape://here", "async+redis://localhost:6379"])
def test_a_storage_that_does_not_exist_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="rate_storage"):
        open_storage(address, threading.Event())


@pytest.fixture
def redis() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A real Redis on a port of its own."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    assert program is not None, "install redis-server; `make unit` does"
    port = free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
    )
    address = f"redis://127.0.0.1:{port}"

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(answers)
    yield address, server
    server.terminate()
    server.wait()


def test_processes_that_share_a_storage_share_a_rate(redis: tuple[str, object]) -> None:
    here, there = (SharedStorage(RedisStorage(redis[0], wrap_exceptions=True)) for _ in range(2))
    first, second = Rates({"secret": "10/hour"}, here), Rates({"secret": "10/hour"}, there)
    first.charge("secret", "k", 6)
    second.charge("secret", "k", 6)
    assert (first.wait("secret", "k"), second.wait("secret", "k")) == (0, 0)
    here.exchange()
    there.exchange()
    assert 3000 < second.wait("secret", "k") <= 3600
    first.charge("secret", "k")
    here.exchange()
    assert 3000 < first.wait("secret", "k") <= 3600


def test_what_is_counted_during_an_exchange_is_counted_once(redis: tuple[str, object]) -> None:
    storage = SharedStorage(RedisStorage(redis[0], wrap_exceptions=True))
    rates = Rates({"secret": "1000000/hour"}, storage)
    stop = threading.Event()
    thread = threading.Thread(target=lambda: [storage.exchange() for _ in iter(stop.is_set, True)])
    thread.start()
    for _ in range(5_000):
        rates.charge("secret", "busy")
    stop.set()
    thread.join()
    storage.exchange()
    assert [count for key, (count, _) in storage._windows.items() if "busy" in key] == [5_000]


def test_a_storage_that_goes_away_is_told_once_and_each_process_counts_for_itself(
    redis: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    told: list[str] = []
    storage = SharedStorage(RedisStorage(redis[0], wrap_exceptions=True), told=told.append)
    rates = Rates({"secret": "10/hour"}, storage)
    redis[1].terminate()
    redis[1].wait()
    for _ in range(11):
        rates.charge("secret", "lonely")
        storage.exchange()
    assert rates.wait("secret", "lonely") > 3000
    assert len(told) == 1
    assert storage.failure is not None
