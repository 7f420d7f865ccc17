"""The export of a run: its preference labels as files, made whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import duckdb

from clapometer.domain import InputError, NotFoundError, TerminalError, TransientError
from clapometer.export.card import write_card
from clapometer.export.folder import Manifest, Split, filled
from clapometer.export.options import ExportOptions, Kind
from clapometer.lake.statements import quote, sql
from clapometer.lake.tables import Lake
from clapometer.training.reading import UNLIMITED, Resources
from clapometer.training.runs import Run, choose_run

_ROWS: dict[Kind, str] = {
    "trl-preference": "export/sql/trl_preference.sql",
    "trl-unpaired": "export/sql/trl_unpaired.sql",
}
IDENTITY: dict[Kind, str] = {"trl-preference": "chosen, rejected", "trl-unpaired": "completion"}
"""Columns that tell the rows of a prompt apart; files are ordered by them, so that they are the same every time."""
_CLIPS: dict[Kind, str] = {"trl-preference": "unnest([chosen, rejected])", "trl-unpaired": "completion"}
SPLITS = ("train", "test")
_TRIES = 5


@dataclass(frozen=True)
class Source:
    """Where an export comes from.

    Attributes:
        lake: The lake.
        resources: What may be used.
    """

    lake: Lake
    resources: Resources = UNLIMITED

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Returns a connection with the lake's views, as they are now."""
        return self.lake.connect(threads=self.resources.threads, memory_limit=self.resources.memory_limit)


def export_run(
    source: Source,
    options: ExportOptions,
    folder: Path,
    *,
    run_id: str | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Writes the preference labels of a run into a folder, and returns what it holds.

    The folder is there when all of it is written. The same run with the same options gives the same bytes, until a
    clip of it is taken down or loses its permission: what may not be trained on is in no export made after that.

    Args:
        source: Where it comes from.
        options: What is exported.
        folder: A new one, an empty one, or an earlier export, which this one then replaces.
        run_id: The run; the newest one of the tenant that succeeded where None.
        told: Called with what is being done.

    Raises:
        InputError: The folder holds other things, or cannot be written; the run failed, or is another tenant's.
        NotFoundError: There is no such run, or it has no labels any more.
        TerminalError: The disk is full.
        TransientError: Clips were taken down again and again while it was made.
    """
    run = choose_run(source.lake, options.tenant, run_id, "run that succeeded")
    for _ in range(_TRIES):
        with filled(folder) as making:
            manifest = _write(source, options, run, making.folder, told)
            told("looking whether a clip was taken down meanwhile")
            if _all_allowed(source, options, making.folder):
                making.keep(manifest)
                return manifest
    msg = "clips were taken down again and again while the export was made; try again"
    raise TransientError(msg)


def _write(source: Source, options: ExportOptions, run: Run, folder: Path, told: Callable[[str], None]) -> Manifest:
    with source.connect() as connection:
        try:
            left_out = _judge(connection, options, run, told)
            told("choosing")
            rows = _choose(connection, options)
            splits = {}
            for name in SPLITS:
                told(f"writing {name}")
                splits[name] = _write_split(connection, rows, name, folder)
        except duckdb.IOException as error:
            msg = f"cannot be written: {error}"
            raise TerminalError(msg) from error
        columns = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {rows}").fetchall()}
    if not sum(split.rows for split in splits.values()):
        reasons = ", ".join(f"{count:,} × {reason}" for reason, count in left_out.items())
        msg = f"nothing of run {run.run_id} is left to export: {reasons}"
        raise InputError(msg)
    kept = {name: split for name, split in splits.items() if split.rows}
    manifest = Manifest(
        run_id=run.run_id, rule=f"{run.rule.name}@{run.rule.version}", tier=run.tier, tier_reason=run.tier_reason,
        as_of=run.as_of, options=options, left_out=left_out, splits=kept,
    )  # fmt: skip
    write_card(folder, manifest, columns)
    return manifest


def _judge(
    connection: duckdb.DuckDBPyConnection, options: ExportOptions, run: Run, told: Callable[[str], None]
) -> dict[str, int]:
    """Makes the table ``judged``; returns how many labels are left out for each reason."""
    told("judging the labels")
    wanted = {"tenant": options.tenant, "min_tier": options.min_tier, "min_posterior": options.min_posterior}
    _make(connection, "judged", sql("export/sql/judged.sql"), run=run.run_id, **wanted)
    if not _count(connection, "judged"):
        msg = f"run {run.run_id} has no labels, or none any more (setting `keep_runs`); train again"
        raise NotFoundError(msg)
    query = "SELECT left_out, count(*) FROM judged WHERE left_out IS NOT NULL GROUP BY ALL ORDER BY ALL"
    left_out: dict[str, int] = dict(connection.execute(query).fetchall())
    if options.max_per_prompt is None and options.max_per_model is None:
        return left_out
    kept = _count(connection, f"({_capped(options)})", held_out=0, seed="")
    beyond = _count(connection, "judged WHERE left_out IS NULL") - kept
    return left_out | ({"beyond the most of its prompt or model version": beyond} if beyond else {})


def _choose(connection: duckdb.DuckDBPyConnection, options: ExportOptions) -> str:
    """Makes the table of the rows to write, in their order, of ``judged``; returns its name."""
    rows, identity = sql(_ROWS[options.kind]), IDENTITY[options.kind]
    split = {"held_out": options.held_out, "seed": str(options.seed)}
    _make(connection, "exported", f"{rows.format(capped=_capped(options))} ORDER BY prompt_id, {identity}", **split)
    connection.execute("DROP TABLE judged")
    if options.resample is None:
        return "exported"
    start = Random(options.seed).random()  # noqa: S311 - draws rows, no secrets
    drawn = sql("export/sql/drawn.sql").format(identity=identity, start=repr(start))
    _make(connection, "drawn", f"{drawn} ORDER BY prompt_id, {identity}", rows=options.resample)
    return "drawn"


def _capped(options: ExportOptions) -> str:
    return sql("export/sql/capped.sql").format(
        first_of_prompt=_first_of("prompt_id", options.max_per_prompt),
        first_of_model=_first_of("chosen_model", options.max_per_model),
    )


def _first_of(group: str, most: int | None) -> str:
    return "" if most is None else sql("export/sql/first_of.sql").format(group=group, most=most)


def _write_split(connection: duckdb.DuckDBPyConnection, rows: str, split: str, folder: Path) -> Split:
    chosen = f"SELECT * EXCLUDE (split) FROM {rows} WHERE split = {quote(split)}"  # noqa: S608 - our own tables
    names = {"parquet": f"{split}.parquet", "json": f"{split}.jsonl"}
    count = _count(connection, f"{rows} WHERE split = {quote(split)}")
    if not count:
        return Split(0, {})
    for form, name in names.items():
        compressed = ", COMPRESSION zstd" if form == "parquet" else ""
        connection.execute(f"COPY ({chosen}) TO {quote(str(folder / name))} (FORMAT {form}{compressed})")
    return Split.of(count, [folder / name for name in names.values()])


def _all_allowed(source: Source, options: ExportOptions, folder: Path) -> bool:
    """Returns whether no clip of an export was taken down, or lost its permission, since it was chosen."""
    files = ", ".join(quote(str(path)) for path in sorted(folder.glob("*.parquet")))
    query = sql("export/sql/not_allowed.sql").format(clips=_CLIPS[options.kind], files=files)
    with source.connect() as connection:
        ((found,),) = connection.execute(query, {"tenant": options.tenant}).fetchall()
    return not found


def _make(connection: duckdb.DuckDBPyConnection, name: str, query: str, **parameters: object) -> None:
    connection.execute(f"CREATE TEMP TABLE {name} AS {query}", parameters or None)


def _count(connection: duckdb.DuckDBPyConnection, rows: str, **parameters: object) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {rows}", parameters or None).fetchall()  # noqa: S608 - our own tables
    return int(count)
