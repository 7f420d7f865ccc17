"""Files of events to replay: CSV, Parquet or NDJSON with columns named as the fields.

The column decides what its cells are, whatever the file's type: see ``cells``. It is ``type``, ``id``, ``time``,
``source`` or a field of some event's ``data`` by its path, joined by underscores, as in the lake's table ``events``:
``clip_id``, ``prompt_text``, ``model_name``. Empty cells are left out. NDJSON may also hold CloudEvents as they are. A
row that is no event is reported by its number and costs no other.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from clapometer.domain import Event, InputError, decode_event
from clapometer.traffic.recorded.bad_rows import RowsRead
from clapometer.traffic.recorded.readers import Row, read_rows
from clapometer.traffic.recorded.rows import RowDecoder


@dataclass
class EventFile(RowsRead):
    """The events of a file, and the rows that are none.

    Attributes:
        path: The file.
        source: CloudEvents source of rows that name none.
        assume_utc: Whether times without a zone are UTC; otherwise such rows are bad.
        first_at: Time of the earliest event so far.
        last_at: Time of the latest.
    """

    path: Path
    source: str
    assume_utc: bool = False
    first_at: dt.datetime | None = field(default=None, init=False)
    last_at: dt.datetime | None = field(default=None, init=False)

    def events(self) -> Iterator[Event]:
        """Yields the events in the order of the file; the attributes start again from nothing.

        Raises:
            InputError: The file is missing, of no known format, or has a column that no event has.
        """
        self.rows, self.n_bad, self.first_at, self.last_at = 0, 0, None, None
        self.bad.clear()
        self.reasons.clear()
        decoder = RowDecoder(self.source, self.assume_utc)
        for number, row in enumerate(read_rows(self.path), start=1):
            self.rows = number
            try:
                event = self._event(row, decoder)
            except InputError as error:
                self.refuse(number, error)
            else:
                self.first_at = event.time if self.first_at is None else min(self.first_at, event.time)
                self.last_at = event.time if self.last_at is None else max(self.last_at, event.time)
                yield event

    def shifted(self, ends_at: dt.datetime) -> Iterator[Event]:
        """Yields the events moved in time so that the latest is at ``ends_at``; reads the file twice."""
        for _ in self.events():
            pass
        if self.last_at is None:
            return
        shift = ends_at - self.last_at
        for event in self.events():
            yield msgspec.structs.replace(event, time=event.time + shift, sentat=None)

    def _event(self, row: Row, decoder: RowDecoder) -> Event:
        if isinstance(row, InputError):
            raise row
        return decode_event(row) if isinstance(row, bytes) else decoder.event(row)
