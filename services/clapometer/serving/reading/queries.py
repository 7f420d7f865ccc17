"""Reads rankings out of the lake. The command line, the API and the page all call these, so they agree."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import duckdb
import msgspec

from clapometer.domain import NEAREST, InputError, in_words, nearest
from clapometer.lake.statements import sql
from clapometer.serving.reading.answers import (
    SEGMENTS,
    SUBJECTS,
    WHOLE,
    Attacked,
    Counts,
    Hour,
    NotRanked,
    Pipeline,
    Ranking,
    Rejection,
    Run,
    Sender,
    Standing,
    Subject,
    UnregisteredKey,
    UnregisteredSource,
)
from clapometer.serving.reading.errors import NoRunError, UnknownSegmentError
from clapometer.serving.reading.reproduction import reproduction
from clapometer.serving.wording import money_notes, tier_notes

T = TypeVar("T")
_KNOWN_RUNS = 1_000
_JSON_COLUMNS = ("rule", "parameters", "snapshot", "excluded")
NO_RUN = (
    "no ranking has been computed yet: send events, then run `clapometer train`, "
    "or let `clapometer schedule` (part of `clapometer up`) do it"
)


class Connection(Protocol):
    """What is asked of a DuckDB connection or cursor that has the lake's views."""

    def execute(self, query: str, parameters: object = ..., /) -> duckdb.DuckDBPyConnection:
        """Runs one statement."""
        ...

    def sql(self, query: str, /, *, params: object = ...) -> duckdb.DuckDBPyRelation:
        """Returns what one query gives, which is run when it is read."""
        ...


@dataclass(frozen=True, kw_only=True)
class RankingQuery:
    """Which ranking, and which part of it.

    Attributes:
        segment: ``all``, or the one dimension that is filtered by; ``segment_value`` is then its value.
        run: Id of the run; the newest good one where ``None``.
        as_of: The newest good run that was finished by then.
    """

    subject: Subject = "model_versions"
    segment: str = WHOLE
    segment_value: str = ""
    run: str | None = None
    as_of: dt.datetime | None = None
    limit: int = 100
    offset: int = 0

    def __post_init__(self) -> None:
        if self.segment != WHOLE and self.segment not in SEGMENTS:
            msg = f"unknown segment; one of {', '.join(SEGMENTS)}"
            raise InputError(msg, self.segment)
        if self.run is not None and self.as_of is not None:
            msg = "give `run` or `as_of`, not both"
            raise InputError(msg, "as_of")


def subject_of(text: str) -> Subject:
    """Returns the subject that ``text`` names.

    Raises:
        InputError: It names none; says which there are.
    """
    for subject in SUBJECTS:
        if subject == text:
            return subject
    msg = f"unknown subject {text!r}; one of {', '.join(SUBJECTS)}"
    raise InputError(msg, "subject")


def rows(connection: Connection, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """Returns the rows of a file of SQL, such as ``serving/reading/sql/runs.sql``."""
    table: Any = connection.sql(sql(path), params=parameters).to_arrow_table()
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def read_run(connection: Connection, tenant: str, query: RankingQuery) -> Run:
    """Returns the good run that a query means.

    Raises:
        NoRunError: There is none.
    """
    found = rows(connection, "serving/reading/sql/run.sql", tenant=tenant, run=query.run, as_of=query.as_of)
    if found:
        return _run(found[0])
    if query.run is not None:
        known = [run.run_id for run in read_runs(connection, tenant, _KNOWN_RUNS) if run.status == "succeeded"]
        msg = f"there is no successful run {query.run!r}{nearest(query.run, known)}"
        raise NoRunError(msg)
    if query.as_of is not None:
        msg = f"no successful run was finished by {query.as_of.isoformat()}"
        raise NoRunError(msg)
    raise NoRunError(NO_RUN)


def read_failure(connection: Connection, tenant: str) -> str | None:
    """Returns why the newest run failed; ``None`` where it did not."""
    newest = rows(connection, "serving/reading/sql/runs.sql", tenant=tenant, n=1)
    if not newest or newest[0]["status"] != "failed":
        return None
    return newest[0]["error"] or "the run left no reason"


def read_runs(connection: Connection, tenant: str, n: int) -> list[Run]:
    """Returns the last ``n`` runs, good or not, newest first."""
    return [_run(row) for row in rows(connection, "serving/reading/sql/runs.sql", tenant=tenant, n=n)]


def read_ranking(connection: Connection, tenant: str, query: RankingQuery) -> Ranking:
    """Returns the part of a ranking that a query asks for.

    Raises:
        NoRunError: No run has been good yet, or not the one that is asked for.
        UnknownSegmentError: The run did not compute the segment; the error says what it did compute.
    """
    return ranking_of(connection, tenant, query, *chosen_run(connection, tenant, query))


def chosen_run(connection: Connection, tenant: str, query: RankingQuery) -> tuple[Run, str | None]:
    """Returns the run that a query means, and why a newer one failed where the newest was wanted and did.

    Raises:
        NoRunError: There is no such run.
    """
    run = read_run(connection, tenant, query)
    return run, read_failure(connection, tenant) if query.run is None and query.as_of is None else None


def ranking_of(connection: Connection, tenant: str, query: RankingQuery, run: Run, failure: str | None) -> Ranking:
    """Returns the part of a run's ranking that a query asks for; see :func:`read_ranking`."""
    segments = rows(
        connection, "serving/reading/sql/segments.sql", tenant=tenant, run=run.run_id, subject=query.subject
    )
    chosen = _segment(segments, query)
    part = read_items(connection, tenant, run.run_id, query)
    ranked = [_standing(row) for row in part if row["rank"] is not None]
    unranked = [_not_ranked(row) for row in part if row["rank"] is None]
    end = query.offset + len(part)
    calibrated = bool(chosen["calibrated"])
    notes = tier_notes(chosen["tier"], calibrated=calibrated, reason=run.tier_reason) if chosen["ranked"] else []
    return Ranking(
        subject=query.subject,
        segment=query.segment,
        segment_value=query.segment_value,
        run=run,
        stale=failure is not None,
        stale_reason=failure,
        tier=chosen["tier"],
        calibrated=calibrated,
        notes=notes + (money_notes(part[0]) if ranked else []),
        segments=_available(segments),
        impressions=chosen["impressions"],
        votes=chosen["votes"],
        total_ranked=chosen["ranked"],
        total_unranked=chosen["items"] - chosen["ranked"],
        limit=query.limit,
        offset=query.offset,
        next_offset=end if end < chosen["items"] else None,
        rows=ranked,
        unranked=unranked,
        reproduction=reproduction(
            tenant=tenant, run_id=run.run_id, subject=query.subject, segment=query.segment,
            segment_value=query.segment_value, limit=query.limit, offset=query.offset,
        ),
    )  # fmt: skip


def read_items(
    connection: Connection, tenant: str, run_id: str, query: RankingQuery, only: list[str] | None = None
) -> list[dict[str, Any]]:
    """Returns the rows of a ranking: a page of it, or the items in ``only``."""
    return rows(
        connection,
        "serving/reading/sql/ranking.sql",
        tenant=tenant,
        run=run_id,
        subject=query.subject,
        segment=query.segment,
        segment_value=query.segment_value,
        only=only,
        n=query.limit,
        skip=query.offset,
    )


def nearest_items(connection: Connection, tenant: str, run_id: str, query: RankingQuery, name: str) -> str:
    """Returns the end of a sentence that offers the items of a ranking whose ids or labels are nearest to a name."""
    found = rows(
        connection, "serving/reading/sql/nearest.sql", tenant=tenant, run=run_id, subject=query.subject,
        segment=query.segment, segment_value=query.segment_value, like=name, n=NEAREST,
    )  # fmt: skip
    return in_words(
        row["item"] if row["label"] in {None, row["item"]} else f"{row['item']} ({row['label']})" for row in found
    )


def item_of(row: dict[str, Any]) -> Standing | NotRanked:
    """Returns a row of a ranking as an item with or without a place."""
    return _not_ranked(row) if row["rank"] is None else _standing(row)


def read_attack(connection: Connection, tenant: str) -> list[Attacked]:
    """Returns what the latest attack on a tenant's rankings came to, what can be bought first; empty where none was."""
    return msgspec.convert(rows(connection, "serving/reading/sql/attack.sql", tenant=tenant), list[Attacked])


def read_pipeline(
    connection: Connection,
    tenant: str,
    *,
    told: bool,
    unregistered_keys: Sequence[UnregisteredKey] = (),
    runs: int = 8,
    most: int = 5,
) -> Pipeline:
    """Returns the state of collecting, loading and training; what senders wrote, or are called, only if ``told``."""
    own = {"tenant": tenant, "n": most}
    (counts,) = rows(connection, "serving/reading/sql/pipeline.sql", tenant=tenant)
    (freshness,) = rows(connection, "serving/reading/sql/freshness.sql", tenant=tenant)
    return Pipeline(
        counts=msgspec.convert(counts, Counts),
        newest_event_at=freshness["newest_event_at"],
        hours=msgspec.convert(rows(connection, "serving/reading/sql/hours.sql", tenant=tenant), list[Hour]),
        rejections=msgspec.convert(
            rows(connection, "serving/reading/sql/rejections.sql", tenant=tenant, told=told, n=most), list[Rejection]
        ),
        senders=msgspec.convert(rows(connection, "serving/reading/sql/senders.sql", **own), list[Sender])
        if told
        else [],
        unregistered_sources=msgspec.convert(
            rows(connection, "lake/sql/unregistered_shown.sql", **own), list[UnregisteredSource]
        )
        if told
        else [],
        unregistered_keys=[*unregistered_keys][:most] if told else [],
        runs=read_runs(connection, tenant, runs),
    )


def parse_as_of(text: str) -> dt.datetime | None:
    """Returns the time that ``text`` spells (RFC 3339); ``None`` where it is not a time, so a run id.

    Raises:
        InputError: A time without a zone.
    """
    # A plus sign that was not percent-encoded arrives as a blank.
    candidate = text.replace(" ", "+") if "T" in text else text
    try:
        time = dt.datetime.fromisoformat(candidate)
    except ValueError:
        return None
    if time.tzinfo is None:
        msg = "the time has no zone; end it with Z or an offset such as +02:00"
        raise InputError(msg, "as_of")
    return time


def _run(row: dict[str, Any]) -> Run:
    return msgspec.convert({**row, **{name: _json(row[name]) for name in _JSON_COLUMNS}}, Run)


def _json(text: str | None) -> Any:
    if not text:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _standing(row: dict[str, Any]) -> Standing:
    return msgspec.convert(row, Standing)


def _not_ranked(row: dict[str, Any]) -> NotRanked:
    reason = row["unranked_reason"] or "not enough evidence"
    return msgspec.convert({**row, "reason": reason}, NotRanked)


def _available(segments: list[dict[str, Any]]) -> dict[str, list[str]]:
    available: dict[str, list[str]] = {}
    for row in segments:
        if row["segment"] != WHOLE:
            available.setdefault(row["segment"], []).append(row["segment_value"])
    return available


def _segment(segments: list[dict[str, Any]], query: RankingQuery) -> dict[str, Any]:
    for row in segments:
        if (row["segment"], row["segment_value"]) == (query.segment, query.segment_value):
            return row
    if query.segment == WHOLE:
        return {"items": 0, "ranked": 0, "tier": None, "calibrated": False, "impressions": None, "votes": None}
    available = _available(segments)
    values = available.get(query.segment)
    if values:
        reason = f"no run computed {query.segment} {query.segment_value!r}; it has {', '.join(values)}"
    elif available:
        reason = f"no run computed {query.subject} by {query.segment}; it has {', '.join(available)}"
    else:
        reason = f"no run computed {query.subject} by segment; ask without a filter"
    raise UnknownSegmentError(reason, query.segment, available)
