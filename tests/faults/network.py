"""A network between us and the broker that can be cut: the broker lives in a network namespace of its own."""

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.bench import Bench
from tests.faults.system import System
from tests.faults.trial import Outcome, judge, trial


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


@dataclass(frozen=True)
class Namespace:
    """A namespace with one cable to us.

    Attributes:
        name: Its name.
        ours: Address of our end of the cable.
        theirs: Address of the other end.
    """

    name: str
    ours: str
    theirs: str

    @property
    def within(self) -> list[str]:
        """The command that runs another one in it."""
        return ["ip", "netns", "exec", self.name]

    def unplug(self) -> None:
        """Pulls the cable: nothing arrives, either way, and nobody is told."""
        _ip("-n", self.name, "link", "set", "inside", "down")

    def plug(self) -> None:
        """Puts the cable back."""
        _ip("-n", self.name, "link", "set", "inside", "up")

    def mute(self) -> None:
        """Drops what comes from inside: what we send arrives, and is done, but no answer comes back."""
        _ip("-n", self.name, "route", "add", "blackhole", f"{self.ours}/32")

    def unmute(self) -> None:
        """Lets answers through again."""
        _ip("-n", self.name, "route", "del", "blackhole", f"{self.ours}/32")


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Yields a new namespace; it is gone afterwards, with its end of the cable, and so is ours."""
    tag = uuid.uuid4()
    name, cable = f"clap-{tag.hex[:8]}", f"cl{tag.hex[:8]}"
    base = f"10.{200 + tag.bytes[0] % 50}.{tag.bytes[1]}"
    made = Namespace(name, f"{base}.1", f"{base}.2")
    _ip("netns", "add", name)
    try:
        _ip("link", "add", cable, "type", "veth", "peer", "name", "inside", "netns", name)
        _ip("addr", "add", f"{made.ours}/30", "dev", cable)
        _ip("link", "set", cable, "up")
        _ip("-n", name, "addr", "add", f"{made.theirs}/30", "dev", "inside")
        _ip("-n", name, "link", "set", "inside", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        _ip("netns", "del", name)


def partitions(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields an outcome for each way in which the broker can be unreachable."""
    with namespace() as net:
        away = {"host": net.theirs, "within": net.within}
        with bench.system(log, broker=away) as system:
            cuts = {
                "network cut, both ways": (net.unplug, net.plug),
                "network cut, answers of the broker only": (net.mute, net.unmute),
            }
            for fault, (begin, end) in cuts.items():
                name = f"{fault}, for {bench.hold_s:.0f} s"
                yield bench.tried(name, log, lambda b=begin, e=end, name=name: _cut(system, name, b, e, bench))


def _cut(system: System, name: str, begin: Callable[[], None], end: Callable[[], None], bench: Bench) -> Outcome:
    with trial(system, "cut") as running:
        for seconds in (1.0, bench.hold_s):  # one that is over before anybody gives up, and one that is not
            with running.fault(end):
                begin()
                running.probe(seconds, {202, 503})
        return judge(running, name)
