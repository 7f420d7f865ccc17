"""``clapometer replay``: recorded engagement, sent as if it happened."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clapometer.cli import options, sending
from clapometer.operation import catching_up
from clapometer.terminal.printing import Console

if TYPE_CHECKING:  # imported when the command runs, so that help is quick
    from clapometer.traffic import EventFile, KuaiRand, RowsRead, SendOptions

_SHOWN_ROWS = 20
TIER_C = (
    "no propensities were logged (nor published for the slots that KuaiRand filled at random), so whatever is made of "
    "these impressions is tier C: its intervals are not calibrated; and its clips share no prompt with others, so "
    "`kuairand@real` stays unranked"
)


def replay(
    file: Annotated[Path, typer.Argument(help="File to replay.", show_default=False)],
    *,
    adapter: Annotated[
        Literal["events", "kuairand"],
        typer.Option(help="`events`: CSV, Parquet or NDJSON with columns named as the fields; `kuairand`: KuaiRand."),
    ] = "events",
    url: sending.Url = None,
    key: sending.Key = None,
    key_file: sending.KeyFile = None,
    features: Annotated[
        Path | None, typer.Option(help="Video features of KuaiRand; beside the file by default.")
    ] = None,
    shift_to_now: Annotated[bool, typer.Option(help="Move all times so that the last event is now.")] = False,
    source: Annotated[str, typer.Option(help="CloudEvents source of rows that name none.")] = "/replay/file",
    assume_utc: Annotated[bool, typer.Option(help="Take times without a zone as UTC.")] = False,
    rate: sending.Rate = None,
    connections: sending.Connections = 4,
    batch: sending.Batch = 500,
    compression: sending.Encoding = "none",
    wait: options.Wait = False,
    patience: options.PatienceSeconds = 30.0,
    form: options.Format = "table",
) -> None:
    """Send recorded engagement through the public API; sending a file twice sends duplicates only.

    A row that is no event is left out with its number, column and reason, and costs no other.
    Exit codes: 0 at least one event was accepted (rows that were not are counted by reason), 1 none was, or the
    server stayed away, 2 the file or an option is wrong.
    """
    json = form == "json"
    from clapometer.traffic import EventFile, KuaiRand

    catching_up.can_wait(wait)
    options = sending.sender_options(
        url=url, key=key, key_file=key_file, rate=rate, connections=connections, batch=batch, compression=compression
    )
    ends_at = dt.datetime.now(dt.UTC) if shift_to_now else None
    if adapter == "kuairand":
        _kuairand(KuaiRand(file, features), options, ends_at, json)
    else:
        _events(EventFile(file, source=source, assume_utc=assume_utc), options, ends_at, json)
    catching_up.after_sending(wait, patience=patience, quiet=json)


def _kuairand(source: "KuaiRand", options: "SendOptions", ends_at: dt.datetime | None, json: bool) -> None:
    counts = source.counts
    report = sending.send_with_progress(
        source.events(ends_at), options, title="recorded events", total=counts.events, quiet=json
    )
    _print_bad_rows(source.read)
    _print_bad_rows(source.features_read, f"{source.features}: ")
    more: dict[str, Any] = {
        "rows": counts.rows,
        "bad_rows": counts.bad,
        "bad_feature_rows": source.features_read.n_bad,
        "image_posts_dropped": counts.images,
        "repeated_rows_sent": counts.repeated,
        "repeated_rows_dropped": counts.repeated_images,
        "clips": counts.clips,
        "explored": counts.explored,
        "note": TIER_C,
    }
    if json:
        more["bad_rows_by_reason"] = dict(source.read.reasons.most_common())
    sending.print_report(report, json=json, more=more)
    _judge(counts.rows, report.acknowledged)


def _events(source: "EventFile", options: "SendOptions", ends_at: dt.datetime | None, json: bool) -> None:
    events = source.events() if ends_at is None else source.shifted(ends_at)
    report = sending.send_with_progress(events, options, title="recorded events", total=None, quiet=json)
    _print_bad_rows(source)
    more: dict[str, Any] = {"rows": source.rows, "bad_rows": source.n_bad}
    if json:
        more["bad_rows_by_reason"] = dict(source.reasons.most_common())
    sending.print_report(report, json=json, more=more)
    _judge(source.rows, report.acknowledged)


def _print_bad_rows(read: "RowsRead", where: str = "") -> None:
    errors = Console(stderr=True, soft_wrap=True)
    for row in read.bad[:_SHOWN_ROWS]:
        errors.print(f"{where}row {row.number} was left out: {row.reason}")
    if read.n_bad > _SHOWN_ROWS:
        errors.print(f"… and {read.n_bad - _SHOWN_ROWS:,} more rows")
    if read.n_bad:
        errors.print(f"{where}{read.n_bad:,} of {read.rows:,} rows were left out:")
    for reason, rows in read.reasons.most_common():
        errors.print(f"  {rows:,}: {reason}")


def _judge(rows: int, accepted: int) -> None:
    """Ends with exit code 1 where there were rows and none was accepted."""
    if rows and not accepted:
        Console(stderr=True, soft_wrap=True).print("error: nothing was accepted; mend it and replay again")
        raise typer.Exit(1)
