"""``clapometer rank`` and ``clapometer compare``: the numbers of the page and the API, in a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clapometer.cli import wiring
from clapometer.cli.terminal import Console, echo_exact, echo_json
from clapometer.domain import InputError, nearest
from clapometer.settings import load_settings

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    import duckdb

    from clapometer.serving import RankingQuery

_WIDE = 130
"""Columns of text from which on a table says how little would change each place."""
Subject = Literal["model_versions", "prompts", "templates"]
Segment = Annotated[
    str | None,
    typer.Option(
        help="One part of the traffic, as `task=t2v`, `audience=…`, `locale=…`, `scenario=…`; `evidence=votes` ranks "
        "model versions by what people said (tier A)."
    ),
]
Tenant = Annotated[str, typer.Option(help="Whose ranking.")]
Run = Annotated[str | None, typer.Option(help="Id of the run; the newest good one if left out.")]
AsOf = Annotated[str | None, typer.Option(help="The newest good run of that time (RFC 3339) or that run id.")]


def rank(
    subject: Annotated[Subject, typer.Argument(help="What is ranked.")] = "model_versions",
    segment: Segment = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most items.")] = 25,
    run: Run = None,
    as_of: AsOf = None,
    tenant: Tenant = "default",
    form: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="Form of the answer.")] = "table",
) -> None:
    """Print a ranking with its intervals."""
    from clapometer.serving import (
        ranking_csv,
        ranking_json,
        ranking_table,
        read_ranking,
        set_aside_lines,
        unranked_lines,
    )

    query = _query(subject, segment, run, as_of, limit)
    with _published() as connection:
        ranking = read_ranking(connection, tenant, query)
    if form == "json":
        echo_json(ranking_json(ranking), nl=False)
    elif form == "csv":
        echo_exact(ranking_csv(ranking))
    else:
        console = Console()
        title = f"{subject}, run {ranking.run.run_id}"
        console.print(ranking_table(ranking.rows, title=title, wide=console.width >= _WIDE))
        for line in unranked_lines(ranking.unranked):
            console.print("unranked:", line)
        for line in set_aside_lines(ranking):
            console.print("set aside:", line)
        for note in [*ranking.notes, *([ranking.stale_reason] if ranking.stale_reason else [])]:
            console.print(f"note: {note}")


def compare(
    left: Annotated[str, typer.Argument(help="An item, as `rank` names it.")],
    right: Annotated[str, typer.Argument(help="Another item.")],
    subject: Annotated[Subject, typer.Option(help="What is compared.")] = "model_versions",
    segment: Segment = None,
    run: Run = None,
    as_of: AsOf = None,
    tenant: Tenant = "default",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how much better one item is than another, and how sure that is."""
    import msgspec

    from clapometer.serving import compare as compare_items
    from clapometer.serving import comparison_lines

    query = _query(subject, segment, run, as_of, limit=2)  # both items
    with _published() as connection:
        comparison = compare_items(connection, tenant, query, left, right)
    if json:
        echo_json(msgspec.json.format(msgspec.json.encode(comparison), indent=2))
        return
    console = Console()
    for line in comparison_lines(comparison):
        console.print(line)


@contextmanager
def _published() -> "Iterator[duckdb.DuckDBPyConnection]":
    """Yields a connection to the published file.

    Raises:
        InputError: There is none yet.
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
