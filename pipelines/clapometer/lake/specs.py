"""What is to be known of each table of the lake, declared once: whoever goes over tables reads it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from clapometer.lake import schema


@dataclass(frozen=True)
class ViewerColumns:
    """In which columns of a table a viewer is found: what an erasure takes out.

    Attributes:
        viewers: Have the id of a viewer; the row goes.
        impressions: Have the id of an impression; what answers an erased viewer's goes.
        items: Have the id of a viewer where ``subject`` is ``viewer``; the row goes.
        creators: Have the id of a viewer who made a clip; the id goes, the row stays.
        quotes: Have text that may quote an id; it is blanked.
    """

    viewers: tuple[str, ...] = ()
    impressions: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    creators: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.viewers, *self.impressions, *self.items, *self.creators, *self.quotes)


NOBODY = ViewerColumns()
"""Of a table that no viewer is in."""


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """A table of the lake.

    Attributes:
        columns: Its columns.
        comment: What analysts are told of it.
        viewers: Where viewers are found in it; an erasure refuses to run while a table does not say it.
        known: Which rows were known at ``{received}``, when events had come, or ``{recorded}``, when a run ended; None
            of a table that is folded anew from what was known.
        backup: Its place in a backup: what says something of another table is taken before that one.
        partition_by: Columns that its folders are named after.
        own: Columns that say who wrote a row when: no part of its hash.
        grows: Whether files of older versions are written anew when it gets a column; else the views fill it in.
    """

    columns: pa.Schema
    comment: str
    viewers: ViewerColumns | None = None
    known: str | None = None
    backup: int
    partition_by: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    grows: bool = False


_OF_RUN = "run_id IN ({runs})"

SPECS: Mapping[str, TableSpec] = {
    "events": TableSpec(
        columns=schema.EVENTS, partition_by=("received_date",), backup=9, own=("event_key", "payload_hash"),
        comment="Every accepted event once; see the event reference for its columns. received_date is the partition.",
        known="received_at <= {received}",
        viewers=ViewerColumns(
            viewers=("viewer_id",), impressions=("impression_id", "left_impression_id", "right_impression_id"),
            creators=("lineage_creator_id",),
        ),
    ),
    "rejected": TableSpec(
        columns=schema.REJECTED, partition_by=("received_date",), backup=10, own=("partition", "offset"), grows=True,
        comment="Events and blocks that were refused, with the reason and their bytes.",
        known="received_at <= {received}", viewers=ViewerColumns(quotes=("raw", "id", "source")),
    ),
    "ledger": TableSpec(
        columns=schema.LEDGER, backup=7, own=("commit", "weightless"), grows=True, viewers=NOBODY,
        comment="What became of the events per source and hour: received = stored + duplicate + rejected + suppressed.",
        known="hour < date_trunc('hour', {received})",
    ),
    "outcomes": TableSpec(
        columns=schema.OUTCOMES, partition_by=("shown_date",), backup=8,
        comment="One row per impression: everything it came to.",
        viewers=ViewerColumns(viewers=("viewer_id",), impressions=("impression_id",)),
    ),
    "comparisons": TableSpec(
        columns=schema.COMPARISONS, backup=5, own=("run_id",), grows=True, viewers=NOBODY, known=_OF_RUN,
        comment="Preference labels: two clips of one prompt, and how likely the left one is better.",
    ),
    "rankings": TableSpec(
        columns=schema.RANKINGS, backup=3, own=("run_id", "created_at"), grows=True, viewers=NOBODY,
        comment="Every ranking ever made; rankings_current has the latest.", known=_OF_RUN,
    ),
    "contrasts": TableSpec(
        columns=schema.CONTRASTS, backup=4, own=("run_id",), grows=True, viewers=NOBODY, known=_OF_RUN,
        comment="Differences between two ranked items, with intervals from their joint covariance.",
    ),
    "screened": TableSpec(
        columns=schema.SCREENED, backup=6, own=("run_id",), known=_OF_RUN,
        comment="Viewers, clips and days that a run left out, and limits to what counts, each with the reason.",
        viewers=ViewerColumns(items=("item",)),
    ),
    "runs": TableSpec(
        columns=schema.RUNS, backup=2, grows=True, viewers=NOBODY, known="finished_at <= {recorded}",
        comment="What made a ranking: enough to make it again.",
    ),
    "erasures": TableSpec(
        columns=schema.ERASURES, backup=0, viewers=NOBODY, known="finished_at <= {recorded}",
        comment="Proof that viewers were erased, without their ids.",
    ),
    "audits": TableSpec(
        columns=schema.AUDITS, backup=1, viewers=NOBODY, known="audited_at <= {recorded}",
        comment="What attacks on rankings came to that `clapometer audit --attack` tried on a copy, a row per route.",
    ),
}  # fmt: skip
"""Every table."""

TABLES = {name: (spec.columns, spec.partition_by) for name, spec in SPECS.items()}
"""Every table with its columns and partition columns."""
RESULTS = ("rankings", "contrasts", "comparisons", "screened")
"""Tables of the results of runs, in the order of their hash."""
