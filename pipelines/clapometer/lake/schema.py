"""The columns of every table of the lake, as Arrow schemas: the contract between SQL, Python and readers.

The typed columns of ``events`` are read off the event types, so that a field added to an event is a column.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec.inspect as types
import pyarrow as pa

from clapometer.domain import EVENT_TYPES
from clapometer.domain.results.rankings import RankingRow

TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class DataColumn:
    """A column of ``events`` that a field of some event's ``data`` fills.

    Attributes:
        name: Column name: the path joined by underscores.
        path: Keys from ``data`` to the field.
        type: Arrow type; lists and maps are kept as JSON text.
        is_json: Whether the column holds JSON text.
    """

    name: str
    path: tuple[str, ...]
    type: pa.DataType
    is_json: bool


_ARROW: dict[type[types.Type], pa.DataType] = {
    types.StrType: pa.string(),
    types.LiteralType: pa.string(),
    types.IntType: pa.int64(),
    types.FloatType: pa.float64(),
    types.BoolType: pa.bool_(),
    types.DateTimeType: TIMESTAMP,
}


WIDE = pa.decimal128(20, 0)
"""Whole numbers of 64 bits with or without a sign, which Delta has no type for."""


def _arrow(kind: types.Type) -> pa.DataType:
    """Returns the type of the column of a field that is no object, list or map."""
    parts = kind.types if isinstance(kind, types.UnionType) else (kind,)
    said = [part.extra_json_schema or {} for part in parts if isinstance(part, types.Metadata)]
    return WIDE if any(more.get("maximum", 0) >= 2**63 for more in said) else _ARROW[type(_plain(kind))]


def _plain(kind: types.Type) -> types.Type:
    """Returns the type without ``None`` and without constraints."""
    if isinstance(kind, types.Metadata):
        return _plain(kind.type)
    if isinstance(kind, types.UnionType):
        rest = [member for member in kind.types if not isinstance(member, types.NoneType)]
        return _plain(rest[0]) if len(rest) == 1 else kind
    return kind


def _walk(kind: types.Type, path: tuple[str, ...]) -> list[DataColumn]:
    plain = _plain(kind)
    if isinstance(plain, types.StructType):
        return [column for field in plain.fields for column in _walk(field.type, (*path, field.encode_name))]
    is_json = isinstance(plain, types.ListType | types.DictType)
    arrow = pa.string() if is_json else _arrow(kind)
    return [DataColumn("_".join(path), path, arrow, is_json)]


def data_columns(event_types: Iterable[type] = EVENT_TYPES) -> list[DataColumn]:
    """Returns the columns that the ``data`` of the event types fill, each name once, in order of appearance."""
    columns: dict[str, DataColumn] = {}
    for event_type in event_types:
        (data,) = [field for field in types.type_info(event_type).fields if field.name == "data"]  # type: ignore[attr-defined]
        for column in _walk(data.type, ()):
            if columns.setdefault(column.name, column) != column:
                msg = f"two event types give column {column.name} different types"
                raise TypeError(msg)
    return list(columns.values())


DATA_COLUMNS = data_columns()

_TOKENS = frozenset({"token", "left_token", "right_token"})
"""What the collector checks; of no use after."""

EVENTS = pa.schema(
    [
        pa.field("tenant", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),  # short: impression, watched, …
        pa.field("source", pa.string(), nullable=False),
        pa.field("id", pa.string()),  # null in a file where it is impression_id; the views have it
        pa.field("time", TIMESTAMP, nullable=False),  # the client's clock, skew corrected
        pa.field("client_time", TIMESTAMP, nullable=False),  # the client's clock as sent
        pa.field("received_at", TIMESTAMP, nullable=False),
        pa.field("trust", pa.string(), nullable=False),  # as `clapometer.domain.Trust`
        pa.field("event_key", pa.int64()),  # hash of (tenant, source, id); not kept for ever, see `packing`
        pa.field("payload_hash", pa.int64()),  # hash of type and data; likewise
        *[pa.field(column.name, column.type) for column in DATA_COLUMNS if column.name not in _TOKENS],
        pa.field("received_date", pa.date32(), nullable=False),  # partition
    ]
)
"""One row per accepted event. ``prompt_id`` of a registration is its hash, or one made from its text."""

WATCHING = ("impression", "watched", "reacted", "converted", "voted")
"""Types of events of which there are many: what viewers did. Parquet files that have only such events may lack
the columns that these never fill; the name of such a file ends in ``WATCHING_SUFFIX``."""
WATCHING_SUFFIX = ".watching.parquet"
WEIGHTLESS_SUFFIX = ".weightless.parquet"
"""Ends the name of a file of ``outcomes`` that nobody vouches for: views show them, no training reads them."""


def _watching_columns() -> frozenset[str]:
    tags = {f"clapometer.{name}.v1" for name in WATCHING}
    kinds = [kind for kind in EVENT_TYPES if kind.__struct_config__.tag in tags]
    filled = {column.name for column in data_columns(kinds)}
    every = {column.name for column in DATA_COLUMNS}
    return frozenset(field.name for field in EVENTS if field.name in filled or field.name not in every)


WATCHING_COLUMNS = _watching_columns()
"""Columns that watching events fill."""

REJECTED = pa.schema(
    [
        ("tenant", pa.string()), ("received_at", TIMESTAMP), ("reason", pa.string()), ("field", pa.string()),
        ("source", pa.string()), ("id", pa.string()), ("raw", pa.string()), ("encoding", pa.string()),
        ("partition", pa.int64()), ("offset", pa.int64()), ("trace_id", pa.string()), ("code", pa.string()),
        ("received_date", pa.date32()),
    ]
)  # fmt: skip
"""Dead letters: what was refused, why, and its bytes. ``code`` is of `clapometer.domain.CODES`."""

LEDGER = pa.schema(
    [
        ("tenant", pa.string()), ("source", pa.string()), ("hour", TIMESTAMP), ("received", pa.int64()),
        ("stored", pa.int64()), ("duplicate", pa.int64()), ("conflict", pa.int64()), ("rejected", pa.int64()),
        ("suppressed", pa.int64()), ("commit", pa.int64()), ("weightless", pa.int64()),
    ]
)  # fmt: skip
"""received = stored + duplicate + rejected + suppressed; ``conflict`` counts the duplicates that differed, and
``weightless`` the stored impressions that weigh nothing, for want of a token that holds."""

OUTCOMES = pa.schema(
    [
        ("tenant", pa.string()), ("impression_id", pa.string()), ("clip_id", pa.string()), ("viewer_id", pa.string()),
        ("session_id", pa.string()), ("slate_id", pa.string()), ("position", pa.int64()), ("surface", pa.string()),
        ("policy_id", pa.string()), ("propensity", pa.float64()), ("candidates", pa.int64()), ("explored", pa.bool_()),
        ("experiment", pa.string()), ("audience", pa.string()), ("locale", pa.string()), ("device_class", pa.string()),
        ("muted_start", pa.bool_()), ("autoplay", pa.bool_()), ("shown_at", TIMESTAMP), ("trust", pa.string()),
        ("watched_ms", pa.int64()), ("total_ms", pa.int64()), ("muted_ms", pa.int64()), ("paused_ms", pa.int64()),
        ("loops", pa.int64()), ("max_position_ms", pa.int64()), ("end_reason", pa.string()),
        ("liked", pa.bool_()), ("saved", pa.bool_()), ("shared", pa.bool_()), ("commented", pa.bool_()),
        ("followed", pa.bool_()), ("disliked", pa.bool_()), ("hidden", pa.bool_()), ("not_interested", pa.bool_()),
        ("reported", pa.bool_()), ("clicked", pa.bool_()), ("visual_searched", pa.bool_()), ("carted", pa.bool_()),
        ("purchased", pa.bool_()), ("revenue", pa.float64()), ("currency", pa.string()), ("last_event_at", TIMESTAMP),
        ("shown_date", pa.date32()),
    ]
)  # fmt: skip
"""One row per impression: everything it came to. Folding is commutative and idempotent.

The partition of a file with the outcomes of several days, which are few each, is null: ``shown_date`` is told by
``shown_at``."""

RANKINGS = pa.schema(
    [(field.name, _arrow(field.type)) for field in types.type_info(RankingRow).fields]  # type: ignore[attr-defined]
)
"""A row per item of a ranking, as `RankingRow` has it."""

CONTRASTS = pa.schema(
    [
        ("run_id", pa.string()), ("tenant", pa.string()), ("subject", pa.string()), ("segment", pa.string()),
        ("segment_value", pa.string()), ("left_item", pa.string()), ("right_item", pa.string()),
        ("difference", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("p_left", pa.float64()),
        ("always_low", pa.float64()), ("always_high", pa.float64()), ("tier", pa.string()),
        ("bought_low", pa.float64()), ("bought_high", pa.float64()),  # low, high had as much been bought as could be
    ]
)  # fmt: skip
"""Differences of two items' effects with 95 % intervals from their joint covariance, each pair of items once.

``low`` to ``high`` holds for one look, ``always_low`` to ``always_high`` for all looks together, however often one
looks; of model versions only.

Of model versions and templates, where a ranking has at most 200 of them; a row per pair suffices, as the other
direction is its negative."""

COMPARISONS = pa.schema(
    [
        ("run_id", pa.string()), ("tenant", pa.string()), ("rule", pa.string()), ("prompt_id", pa.string()),
        ("left_clip_id", pa.string()), ("right_clip_id", pa.string()), ("result", pa.string()),
        ("p_left", pa.float64()), ("margin", pa.float64()), ("weight", pa.float64()), ("tier", pa.string()),
        ("left_impressions", pa.int64()), ("right_impressions", pa.int64()), ("evidence", pa.string()),
    ]
)  # fmt: skip
"""Preference labels: two clips of one prompt, and how likely the left one is better."""

SCREENED = pa.schema(
    [
        ("run_id", pa.string()), ("tenant", pa.string()),
        ("subject", pa.string()),  # viewer, clip, cost, day, weight, revenue
        ("item", pa.string()), ("reason", pa.string()), ("counts_for", pa.string()),
    ]
)  # fmt: skip
"""Viewers, clips and days that a run left out, and limits beyond which it left outcomes out, each with the reason; a
repost that counts for its original names it."""

RUNS = pa.schema(
    [
        ("run_id", pa.string()), ("tenant", pa.string()),
        ("status", pa.string()),  # succeeded, failed
        ("trigger", pa.string()),
        ("started_at", TIMESTAMP), ("finished_at", TIMESTAMP), ("code_version", pa.string()),
        ("rule", pa.string()), ("estimator", pa.string()), ("parameters", pa.string()), ("seed", pa.int64()),
        ("snapshot", pa.string()), ("excluded", pa.string()), ("outcomes", pa.int64()), ("result_hash", pa.string()),
        ("error", pa.string()),
        ("as_of", TIMESTAMP), ("tier", pa.string()), ("tier_reason", pa.string()),
    ]
)  # fmt: skip
"""What made a ranking: enough to make it again bit for bit. JSON in rule, parameters, snapshot and excluded."""

ERASURES = pa.schema(
    [
        ("erasure_id", pa.string()), ("tenant", pa.string()), ("viewers", pa.int64()), ("requested_at", TIMESTAMP),
        ("finished_at", TIMESTAMP), ("removed", pa.string()),
    ]
)  # fmt: skip
"""Proof that erasures were done, without the ids: rows that were removed, by table, as JSON."""

AUDITS = pa.schema(
    [
        ("run_id", pa.string()), ("tenant", pa.string()), ("audited_at", TIMESTAMP),
        ("check", pa.string()), ("subject", pa.string()),
        ("status", pa.string()),  # passed, failed, noted, skipped
        ("found", pa.string()), ("advice", pa.string()), ("numbers", pa.string()),
    ]
)  # fmt: skip
"""What attacks on a ranking came to that were tried on a copy: a row per route. JSON in numbers."""
