"""Moves the blocks of one event log into another: a laptop's backlog into production."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clapometer.eventlog.contract import EventLog

COPY_BYTES = 4 << 20


@dataclass(frozen=True)
class CopyReport:
    """What was copied.

    Attributes:
        blocks: How many.
        bytes: Their size.
        following: Per partition of the source the offset to go on from.
    """

    blocks: int = 0
    bytes: int = 0
    following: Mapping[int, int] = field(default_factory=dict)


def copy_log(
    source: EventLog,
    target: EventLog,
    *,
    start: Mapping[int, int] | None = None,
    progress: Callable[[CopyReport], None] = lambda _: None,
    max_bytes: int = COPY_BYTES,
) -> CopyReport:
    """Appends the blocks of ``source`` to ``target`` up to where each partition ended at the start.

    ``progress`` is called after each group with what is durable in the target: keep its ``following`` and pass it
    as ``start`` to resume. A copy that is interrupted between append and progress repeats one group; the loader
    recognises the repeated events. The source stays as it is.

    Raises:
        LogFullError: The target is full; ``progress`` knows how far it got.
        TransientError: A log is away; likewise.
    """
    report = CopyReport(following=dict(start or {}))
    ends = {partition: source.next_offset(partition) for partition in source.partitions()}
    for partition, end in ends.items():
        offset = report.following.get(partition, 0)
        while offset < end:
            records = [each for each in source.read(partition, offset, max_bytes) if each.offset < end]
            if not records:
                break
            target.append_many([record.block for record in records])
            offset = records[-1].offset + 1
            report = CopyReport(
                report.blocks + len(records),
                report.bytes + sum(len(record.block) for record in records),
                {**report.following, partition: offset},
            )
            progress(report)
    return report
