"""The durable log between the collector and the lake: one contract, several implementations."""

from clapometer.eventlog.contract import EventLog, Position, Record
from clapometer.eventlog.embedded import EmbeddedLog
from clapometer.eventlog.group_commit import GroupCommitter
from clapometer.eventlog.memory import MemoryLog

__all__ = ["EmbeddedLog", "EventLog", "GroupCommitter", "MemoryLog", "Position", "Record"]
