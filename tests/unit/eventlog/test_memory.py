"""The memory log keeps the contract."""

from tests.contract.eventlog_contract import BoundedLogContract, EventLogContract

from clapometer.eventlog import EventLog, MemoryLog


class TestMemoryLog(BoundedLogContract):
    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return MemoryLog(max_bytes=max_bytes)


class TestMemoryLogWithThreePartitions(EventLogContract):
    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return MemoryLog(max_bytes=max_bytes, partitions=3)
