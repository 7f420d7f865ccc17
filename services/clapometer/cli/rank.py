"""``clapometer rank`` and ``clapometer compare``: the numbers of the page and the API, in a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clapometer.cli import options
from clapometer.cli.options import Exit
from clapometer.domain import Answer, InputError, NotFoundError, nearest
from clapometer.operation import wiring
from clapometer.settings import load_settings
from clapometer.terminal.printing import Console, echo_exact, echo_json

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    import duckdb

    from clapometer.serving import Ranking, RankingQuery

_NO_END = 10_000
Subject = Literal["model_versions", "prompts", "templates"]
Segment = Annotated[
    str | None,
    typer.Option(
        help="One part of the traffic, as `task=t2v`, `audience=…`, `locale=…`, `scenario=…`; `evidence=votes` ranks "
        "model versions by what people said (tier A)."
    ),
]
Run = Annotated[str | None, typer.Option(help="Id of the run; the newest good one if left out.")]
AsOf = Annotated[str | None, typer.Option(help="The newest good run of that time (RFC 3339) or that run id.")]


def rank(
    subject: Annotated[Subject, typer.Argument(help="What is ranked.")] = "model_versions",
    segment: Segment = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most items.")] = 25,
    run: Run = None,
    as_of: AsOf = None,
    tenant: options.Tenant = "default",
    form: Annotated[
        Literal["table", "json", "csv"], typer.Option("--format", help="`table` for people, others for programs.")
    ] = "table",
    wide: Annotated[
        bool, typer.Option("--wide", help="Every column, and names in full, however wide the terminal is.")
    ] = False,
    columns: Annotated[
        str | None, typer.Option(help="These columns, such as `item,effect,cost`; an unknown one lists them.")
    ] = None,
) -> None:
    """Print a ranking with its intervals: as many columns as fit into the terminal."""
    from clapometer.serving import ranking_csv, ranking_json, read_ranking

    query = _query(subject, segment, run, as_of, limit)
    only = _columns(columns, wide)
    with _published() as connection, _of_tenant(connection, tenant, query):
        ranking = read_ranking(connection, tenant, query)
    if form == "json":
        echo_json(ranking_json(ranking), nl=False)
    elif form == "csv":
        echo_exact(ranking_csv(ranking))
    else:
        _print(ranking, only, wide)


def _columns(given: str | None, wide: bool) -> list[str] | None:
    from clapometer.serving import column_keys

    known = column_keys()
    if given is None:
        return known if wide else None
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in known:
            msg = f"{name!r} is no column; there are {', '.join(known)}"
            raise InputError(msg, "columns")
    return names


def _print(ranking: "Ranking", only: list[str] | None, wide: bool) -> None:
    from clapometer.serving import ranking_tables, ranking_title, set_aside_lines, unranked_lines

    console = Console(width=_NO_END if wide else None)
    console.print(ranking_title(ranking))
    for table in ranking_tables(ranking.rows, console.width, only):
        console.print(table)
    for line in unranked_lines(ranking.unranked):
        console.print("unranked:", line)
    for line in set_aside_lines(ranking):
        console.print("set aside:", line)
    for note in [*ranking.notes, *([ranking.stale_reason] if ranking.stale_reason else [])]:
        console.print(f"note: {note}")


def compare(
    left: Annotated[str, typer.Argument(help="An item, by the id that `rank` names: the new one.")],
    right: Annotated[str, typer.Argument(help="Another item: the one that it is compared with.")],
    subject: Annotated[Subject, typer.Option(help="What is compared.")] = "model_versions",
    segment: Segment = None,
    run: Run = None,
    as_of: AsOf = None,
    tenant: options.Tenant = "default",
    require: Annotated[
        Literal["better", "not-worse"] | None,
        typer.Option(help="Decide by the exit code whether the first is better, or not worse, by the margin."),
    ] = None,
    margin: Annotated[float, typer.Option(min=0, help="For --require, in label units.")] = 0.0,
    form: options.Format = "table",
) -> None:
    """Say how much better one item is than another, and how sure that is.

    Exit codes with --require: 0 yes, 1 no, 3 not enough evidence, or no ranking yet; 2 it cannot be asked: no such
    item, run or tenant, a wrong setting. It goes by the interval that holds at all looks together, so that a pipeline
    may ask every day.
    """
    import msgspec

    from clapometer.serving import NoRunError, comparison_lines, required
    from clapometer.serving import compare as compare_items

    query = _query(subject, segment, run, as_of, limit=2)  # both items
    try:
        with _published() as connection:
            with _of_tenant(connection, tenant, query):
                comparison = compare_items(connection, tenant, query, left, right)
            decided = None if require is None else required(connection, tenant, comparison, require, margin)
    except NotFoundError as error:
        if require is None or (isinstance(error, NoRunError) and run is None and as_of is None):
            raise
        raise InputError(str(error)) from error  # 3 would say to wait
    if form == "json":
        summary = {**msgspec.structs.asdict(comparison), **({} if decided is None else {"required": decided.told})}
        echo_json(msgspec.json.format(msgspec.json.encode(summary), indent=2))
    else:
        console = Console()
        for line in comparison_lines(comparison):
            console.print(line)
        if decided is not None:
            console.print(decided.sentence)
    if decided is not None:
        exits = {Answer.YES: Exit.DONE, Answer.NO: Exit.FAULT, Answer.NOT_ENOUGH: Exit.NOTHING_THERE}
        raise typer.Exit(exits[decided.decision.answer])


@contextmanager
def _of_tenant(connection: "duckdb.DuckDBPyConnection", tenant: str, query: "RankingQuery") -> Iterator[None]:
    """Says which tenants have a ranking where the one that is asked for has none at all.

    Raises:
        NotFoundError: It has none.
    """
    from clapometer.serving import NoRunError

    try:
        yield
    except NoRunError as error:
        found = connection.sql("SELECT DISTINCT tenant FROM runs WHERE status = 'succeeded'").fetchall()
        known = sorted(name for (name,) in found)
        if query.run is not None or query.as_of is not None or not known:
            raise
        msg = f"tenant {tenant!r} has no ranking yet; {', '.join(known)} {'has' if len(known) == 1 else 'have'}"
        raise NotFoundError(msg) from error


@contextmanager
def _published() -> "Iterator[duckdb.DuckDBPyConnection]":
    """Yields a connection to the published file.

    Raises:
        NoRunError: There is none yet.
    """
    from clapometer.serving import Published

    published = Published(wiring.existing_published_file(load_settings()))
    try:
        with published.read() as connection:
            yield connection
    finally:
        published.close()


def _query(subject: Subject, segment: str | None, run: str | None, as_of: str | None, limit: int) -> "RankingQuery":
    from clapometer.serving import SEGMENTS, RankingQuery, parse_as_of

    name, equals, value = ("all", "=", "") if segment is None else segment.partition("=")
    if not equals:
        msg = f"{segment!r} names no value; write it as `task=t2v`"
        raise InputError(msg, "segment")
    if segment is not None and name not in SEGMENTS:
        msg = f"{name!r} is no part of the traffic{nearest(name, SEGMENTS)}"
        raise InputError(msg, "segment")
    moment = None if as_of is None else parse_as_of(as_of)
    chosen = as_of if as_of is not None and moment is None else run
    return RankingQuery(subject=subject, segment=name, segment_value=value, run=chosen, as_of=moment, limit=limit)
