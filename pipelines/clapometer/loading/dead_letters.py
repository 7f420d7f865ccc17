"""Dead letters, written before the commit that counts them: once, whatever crashes in between."""

from collections.abc import Mapping, Sequence

from clapometer.eventlog import EventLog
from clapometer.lake.tables import Lake
from clapometer.loading.blocks import Refusal, rejected_rows

CONFLICT = "conflict: an event with this source and id was stored before with other data"


class RefusalWriter:
    """Appends to ``rejected`` with, per partition, the offset up to which the refusals of a log are there."""

    def __init__(self, lake: Lake, log: EventLog) -> None:
        self._lake = lake
        self._log = log
        self._base: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        self._written: dict[Refusal, None] = {}

    def begin(self) -> None:
        """Starts a load: what an earlier one wrote is no longer of interest."""
        self._base, self._reached, self._written = {}, {}, {}

    @property
    def conflicts(self) -> Sequence[Refusal]:
        """The conflicts that this load wrote, in all its attempts."""
        return [each for each in self._written if each.code == "conflict"]

    def write(self, refusals: Sequence[Refusal], next_offsets: Mapping[int, int]) -> None:
        """Writes those of the refusals that are not there yet.

        Raises:
            CommitConflictError: Another loader writes the refusals of the same partition.
        """
        for partition in next_offsets:
            there = self._lake.txn("rejected", self._app_id(partition)) or 0
            if there != self._reached.get(partition):
                self._base[partition] = there
        missing = [each for each in refusals if each.offset >= self._base[each.partition] and each not in self._written]
        if not missing:
            return
        reached = {self._app_id(partition): offset for partition, offset in next_offsets.items()}
        self._lake.append("rejected", rejected_rows(missing), reached)
        self._reached.update(next_offsets)
        self._written.update(dict.fromkeys(missing))

    def _app_id(self, partition: int) -> str:
        return f"refused-{self._log.identity}-p{partition}"
