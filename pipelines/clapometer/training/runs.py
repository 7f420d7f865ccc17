"""Run records: what made a ranking, written so that it can be made again."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import secrets
import uuid
from collections.abc import Mapping

import msgspec
import pyarrow as pa

from clapometer.domain import InputError, NotFoundError, nearest
from clapometer.labels import LabelRule, decode_rule, encode_rule
from clapometer.lake.history import RUN_ID
from clapometer.lake.specs import RESULTS, SPECS, TABLES
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters

ESTIMATOR = "ClipAIPW + PromptFixedEffects; HierarchicalBayes"
_LIBRARIES = ("duckdb", "numpy", "scipy", "scikit-learn", "pyarrow")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the training job.

    Attributes:
        run_id: Sorts by time.
        tenant: Whose outcomes.
        status: succeeded or failed.
        trigger: Who asked for it: manual, schedule, …
        started_at: Clock when it began.
        finished_at: Clock when it ended.
        as_of: Outcomes are mature, and rankings dated, as of this time.
        code_version: Of Clapometer and the libraries that compute.
        rule: What an outcome was worth.
        parameters: Everything else that was chosen.
        seed: Of all draws.
        snapshot: Version of each table that was read.
        excluded: Outcomes that did not count, by reason.
        outcomes: All outcomes.
        tier: Of what viewers did: B or C.
        tier_reason: Why it is C.
        result_hash: Of the results, without the run's own id and time.
        error: Why it failed.
    """

    run_id: str
    tenant: str
    status: str
    trigger: str
    started_at: dt.datetime
    finished_at: dt.datetime
    as_of: dt.datetime
    code_version: str
    rule: LabelRule
    parameters: Parameters
    seed: int
    snapshot: dict[str, int]
    excluded: dict[str, int] = {}
    outcomes: int = 0
    tier: str = ""
    tier_reason: str = ""
    result_hash: str = ""
    error: str | None = None


def new_run_id(now: dt.datetime) -> str:
    """Returns a UUID version 7 (RFC 9562): ids sort by time."""
    milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
    number = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))


def code_version() -> str:
    """Returns the version of Clapometer and of the libraries that its numbers depend on."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("clapometer", *_LIBRARIES)]
    return ", ".join(versions)


def result_hash(tables: Mapping[str, pa.Table]) -> str:
    """Returns a hash of results that does not depend on who made them when; what was left out shows in them."""
    digest = hashlib.sha256()
    for name in RESULTS:
        if name in tables and name != "screened":
            rows = tables[name].drop_columns([*SPECS[name].own])
            lines = sorted(msgspec.json.encode(row, order="sorted") for row in rows.to_pylist())
            digest.update(name.encode() + b"\n" + b"\n".join(lines) + b"\n")
    return digest.hexdigest()


def record_run(lake: Lake, run: Run) -> None:
    """Appends a run to ``runs``; results that it names must be in the lake by then."""
    schema, _ = TABLES["runs"]
    row = {
        "run_id": run.run_id,
        "tenant": run.tenant,
        "status": run.status,
        "trigger": run.trigger,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "code_version": run.code_version,
        "rule": encode_rule(run.rule),
        "estimator": ESTIMATOR,
        "parameters": msgspec.json.encode(run.parameters).decode(),
        "seed": run.seed,
        "snapshot": msgspec.json.encode(run.snapshot, order="sorted").decode(),
        "excluded": msgspec.json.encode(run.excluded, order="sorted").decode(),
        "outcomes": run.outcomes,
        "result_hash": run.result_hash,
        "error": run.error,
        "as_of": run.as_of,
        "tier": run.tier,
        "tier_reason": run.tier_reason,
    }
    lake.append("runs", pa.Table.from_pylist([row], schema=schema), metadata={RUN_ID: run.run_id})


def read_runs(lake: Lake, tenant: str | None = None) -> list[Run]:
    """Returns the recorded runs, of one tenant or of all, oldest first."""
    with lake.connect() as con:
        query = "SELECT * FROM runs WHERE $tenant IS NULL OR tenant = $tenant ORDER BY run_id"
        rows = con.sql(query, params={"tenant": tenant}).to_arrow_table().to_pylist()
    return [_run(row) for row in rows]


class NewestRun(msgspec.Struct, frozen=True):
    """How the newest run of a tenant ended; its parameters are not read, so none of another version is in the way."""

    tenant: str
    status: str
    started_at: dt.datetime
    error: str | None


def newest_runs(lake: Lake) -> dict[str, NewestRun]:
    """Returns the newest run of each tenant, good or not."""
    with lake.connect() as con:
        query = (
            "SELECT tenant, status, started_at, error FROM runs "
            "QUALIFY row_number() OVER (PARTITION BY tenant ORDER BY run_id DESC) = 1 ORDER BY tenant"
        )
        rows = con.sql(query).to_arrow_table().to_pylist()
    return {row["tenant"]: NewestRun(**row) for row in rows}


def read_run(lake: Lake, run_id: str) -> Run:
    """Returns the record of a run.

    Raises:
        NotFoundError: There is no such run.
    """
    with lake.connect() as con:
        rows = con.sql("SELECT * FROM runs WHERE run_id = $id", params={"id": run_id}).to_arrow_table().to_pylist()
    if not rows:
        msg = f"there is no run {run_id!r}{nearest(run_id, reversed([run.run_id for run in read_runs(lake)]))}"
        raise NotFoundError(msg)
    return _run(rows[0])


def choose_run(lake: Lake, tenant: str, run_id: str | None, wanted: str) -> Run:
    """Returns a run that has results: the one that is named, or the tenant's newest good one.

    Args:
        lake: The lake.
        tenant: Whose run.
        run_id: The run; the newest one where None.
        wanted: What it is chosen for, such as "ranking to audit".

    Raises:
        NotFoundError: There is none.
        InputError: It failed, or is another tenant's.
    """
    if run_id is None:
        good = [run for run in read_runs(lake, tenant) if run.status == "succeeded"]
        if not good:
            trained = {run.tenant for run in read_runs(lake) if run.status == "succeeded"}
            msg = f"tenant {tenant!r} has no {wanted} yet; " + (
                f"there is one of {', '.join(sorted(trained))}" if trained else "`clapometer train` makes one"
            )
            raise NotFoundError(msg)
        return good[-1]
    run = read_run(lake, run_id)
    if run.tenant != tenant:
        msg = f"run {run_id} is not of tenant {tenant!r}; name its tenant, too"
        raise InputError(msg, "run")
    if run.status != "succeeded":
        msg = f"run {run_id} {run.status} and has no ranking: {run.error}"
        raise InputError(msg, "run")
    return run


def _run(row: dict[str, object]) -> Run:
    own = {name: row[name] for name in Run.__struct_fields__ if name in row}
    parsed = {
        "rule": decode_rule(msgspec.json.decode(str(row["rule"]))),
        "parameters": msgspec.json.decode(str(row["parameters"]), type=Parameters),
        "as_of": row["as_of"] or row["started_at"],
        "tier": row["tier"] or "",
        "tier_reason": row["tier_reason"] or "",
        "snapshot": msgspec.json.decode(str(row["snapshot"]), type=dict[str, int]),
        "excluded": msgspec.json.decode(str(row["excluded"]), type=dict[str, int]),
    }
    return Run(**(own | parsed))  # type: ignore[arg-type]


def drop_old_results(lake: Lake, tenant: str, keep: int) -> int:
    """Removes the results of all but the latest ``keep`` succeeded runs of a tenant; returns how many runs.

    Their records stay, so that they can be made again for as long as their snapshots are kept.
    """
    succeeded = [run.run_id for run in read_runs(lake, tenant) if run.status == "succeeded"]
    old = succeeded[: max(0, len(succeeded) - keep)]
    removed: set[str] = set()
    for name in RESULTS:
        with lake.connect() as con:
            query = f"SELECT * FROM {name} WHERE run_id NOT IN $old"  # noqa: S608 - our own table names
            kept = con.sql(query, params={"old": old}).to_arrow_table()
            found = con.execute(f"SELECT DISTINCT run_id FROM {name} WHERE run_id IN $old", {"old": old}).fetchall()  # noqa: S608
        if found:
            lake.overwrite_partitions(name, kept, None)
            removed |= {run_id for (run_id,) in found}
    return len(removed)
