"""The durable log between the collector and the lake: one contract, several implementations."""

from clapometer.eventlog.contract import EventLog, Position, Record
from clapometer.eventlog.embedded import EmbeddedLog
from clapometer.eventlog.embedded_files import DamagedLogError, known_identity
from clapometer.eventlog.group_commit import GroupCommitter
from clapometer.eventlog.memory import MemoryLog

__all__ = [
    "DamagedLogError",
    "EmbeddedLog",
    "EventLog",
    "GroupCommitter",
    "MemoryLog",
    "Position",
    "Record",
    "known_identity",
]
