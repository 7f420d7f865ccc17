"""How much keys and addresses may send: the windows of the library ``limits``, on a clock that never runs back."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal

from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError, StorageError
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from clapometer.domain import InputError, TransientError

Limited = Literal["publishable", "secret", "address", "slates_viewer", "slates_address"]
"""What a rate is for: keys of a kind, each for itself, addresses that requests come from; of slates those for a viewer,
and those of pages at an address."""
MEMORY = "memory"
EXCHANGE_SECONDS = 0.1
_PRUNE_FROM = 10_000


class SteadyStorage(Storage):
    """Counts of this process. The library's own would keep a window open for as long as the clock was set back."""

    STORAGE_SCHEME = None

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.seconds = seconds
        self._windows: dict[str, tuple[int, float]] = {}
        self._prune_at = _PRUNE_FROM

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Nothing here can fail."""
        return ()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Counts ``amount`` in the window of ``key``, which lasts ``expiry`` seconds; returns what is counted."""
        now = self.seconds()
        count, ends = self._windows.get(key, (0, 0.0))
        if ends <= now:
            count, ends = 0, now + expiry
            self._prune(now)
        self._windows[key] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        """Returns what is counted in the window of ``key``."""
        count, ends = self._windows.get(key, (0, 0.0))
        return count if ends > self.seconds() else 0

    def get_expiry(self, key: str) -> float:
        """Returns when the window of ``key`` ends, by the clock of this storage."""
        return self._windows.get(key, (0, self.seconds()))[1]

    def check(self) -> bool:
        """Returns True."""
        return True

    def reset(self) -> int:
        """Forgets everything; returns how many windows that were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forgets the window of ``key``."""
        self._windows.pop(key, None)

    def _prune(self, now: float) -> None:
        """Drops windows that ended, each time that twice as many are there as were left: addresses are endless."""
        if len(self._windows) >= self._prune_at:
            self._windows = {key: window for key, window in self._windows.items() if window[1] > now}
            self._prune_at = max(_PRUNE_FROM, 2 * len(self._windows))


class SharedStorage(SteadyStorage):
    """Counts that several processes share through another storage, such as Redis.

    Requests are answered from memory; a thread exchanges what was counted ten times a second. So no request waits for
    the network, and all processes together may exceed a rate by what they take in a tenth of a second. While the other
    storage is away each process counts for itself; ``failure`` then says why.
    """

    STORAGE_SCHEME = None

    def __init__(
        self,
        remote: Storage,
        *,
        seconds: Callable[[], float] = time.monotonic,
        told: Callable[[str], object] = lambda _: None,
    ) -> None:
        super().__init__(seconds)
        self.failure: str | None = None
        self._remote = remote
        self._told = told
        self._lock = threading.Lock()
        self._unsent: dict[str, tuple[int, float]] = {}

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Counts in memory, and notes the amount for the next exchange."""
        with self._lock:
            self._unsent[key] = (self._unsent.get(key, (0, 0.0))[0] + amount, expiry)
            return super().incr(key, expiry, amount)

    def exchange(self) -> None:
        """Sends what was counted since the last exchange, and takes over what all processes counted together."""
        with self._lock:
            unsent, self._unsent = self._unsent, {}
        try:
            for key, (amount, expiry) in unsent.items():
                total = self._remote.incr(key, expiry, amount)  # type: ignore[arg-type]
                left = max(0.0, self._remote.get_expiry(key) - time.time())
                with self._lock:
                    newer, _ = self._unsent.get(key, (0, 0.0))
                    self._windows[key] = (total + newer, self.seconds() + left)
        except StorageError as error:
            if self.failure is None:
                self._told(f"rates are counted by each process for itself: {error}")
            self.failure = str(error)
        else:
            self.failure = None

    def exchange_until(self, stop: threading.Event) -> None:
        """Exchanges until ``stop``; for a thread of its own."""
        while not stop.wait(EXCHANGE_SECONDS):
            self.exchange()


def open_storage(address: str, stop: threading.Event, told: Callable[[str], object] = lambda _: None) -> SteadyStorage:
    """Returns the storage that an address names: ``memory``, or one of ``limits`` such as ``redis://host:6379``.

    Args:
        address: As in the setting ``rate_storage``.
        stop: Ends the exchange with another storage.
        told: Called with a sentence when the other storage goes away.

    Raises:
        InputError: There is no such storage, or what it needs is not installed.
    """
    if address == MEMORY:
        return SteadyStorage()
    try:
        remote = storage_from_string(address, wrap_exceptions=True)
        if not isinstance(remote, Storage):
            raise ConfigurationError(address.partition(":")[0])
    except ConfigurationError as error:
        msg = f"{error}; give `memory`, or an address such as redis://host:6379 (extra `redis`)"
        raise InputError(msg, "rate_storage") from error
    except Exception as error:
        msg = f"rates cannot be shared there: {type(error).__name__}"  # the text may hold the password
        raise TransientError(msg) from error
    shared = SharedStorage(remote, told=told)
    threading.Thread(target=shared.exchange_until, args=(stop,), name="clapometer-rates", daemon=True).start()
    return shared


class Rates:
    """Says who has to wait.

    A request may overdraw its window, so that no batch is too large to be ever accepted; the next one waits.

    Args:
        rates: In the words of ``limits``: ``1000/second``, or ``100 per 10 seconds; 100000/day``. None for no limit.
        storage: Where it is counted; in this process by default.

    Raises:
        InputError: A rate is not spelt so.
    """

    def __init__(self, rates: Mapping[Limited, str | None], storage: SteadyStorage | None = None) -> None:
        self.storage = storage or SteadyStorage()
        self._windows = FixedWindowRateLimiter(self.storage)
        self._items = {what: parse_rate(what, rate) for what, rate in rates.items() if rate is not None}

    def wait(self, what: Limited, name: str, amount: int = 1) -> float:
        """Returns for how many seconds ``name`` has to wait for ``amount`` more; 0 where it need not."""
        longest = 0.0
        for item in self._items.get(what, ()):
            if not self._windows.test(item, what, name, cost=amount):
                ends = self._windows.get_window_stats(item, what, name).reset_time
                longest = max(longest, ends - self.storage.seconds())
        return longest

    def charge(self, what: Limited, name: str, amount: int = 1) -> None:
        """Counts ``amount`` for ``name``."""
        for item in self._items.get(what, ()):
            self._windows.hit(item, what, name, cost=amount)


def parse_rate(what: str, rate: str) -> list[RateLimitItem]:
    """Returns the windows that a rate spells.

    Raises:
        InputError: It spells none; names the setting.
    """
    try:
        items = parse_many(rate)
        if any(item.amount < 1 for item in items):
            raise ValueError(rate)
    except ValueError as error:
        msg = f"{rate!r} is no rate; write it like 1000/second, or 100 per 10 seconds; 100000/day"
        raise InputError(msg, f"rate_{what}") from error
    return items
