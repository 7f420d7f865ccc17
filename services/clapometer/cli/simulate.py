"""``clapometer simulate``: traffic of a world whose truth is known."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clapometer.cli import options, sending
from clapometer.domain import InputError
from clapometer.operation import catching_up

if TYPE_CHECKING:  # imported when the command runs, so that help is quick
    from clapometer.domain import Event
    from clapometer.simulation import WorldConfig
    from clapometer.traffic import SendOptions, SendReport, Signing, WorldTraffic

_TOKENS_VALID = dt.timedelta(days=1)


def simulate(
    *,
    url: sending.Url = None,
    key: sending.Key = None,
    key_file: sending.KeyFile = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed sends the same ids: twice is duplicates.")] = 1,
    models: Annotated[int, typer.Option(min=2, max=1000, help="Model versions.")] = 12,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts.")] = 2000,
    sessions: Annotated[int, typer.Option(min=1, help="Sessions of ten impressions each.")] = 20_000,
    viewers: Annotated[int, typer.Option(min=1, help="Viewers.")] = 8_000,
    days: Annotated[int, typer.Option(min=7, max=3650, help="Length of the log; it ends at the last midnight.")] = 28,
    explore: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of slots filled at random; 0.1, with --calm 1.")
    ] = None,
    spread: Annotated[float, typer.Option(min=0, max=3, help="How far the model versions are apart, log-odds.")] = 0.12,
    without: Annotated[
        list[str] | None, typer.Option(help="Switch a confounder off; repeatable. An unknown name lists them.")
    ] = None,
    calm: Annotated[bool, typer.Option(help="All confounders off: a clean randomised test.")] = False,
    conversions: Annotated[float, typer.Option(min=0, max=1, help="Share of impressions that convert.")] = 0.002,
    votes: Annotated[int, typer.Option(min=0, help="Human votes on pairs of clips.")] = 500,
    until: Annotated[dt.datetime | None, typer.Option(help="End of the log (UTC); now if left out.")] = None,
    truth: Annotated[Path | None, typer.Option(help="File to write the truth to, as JSON.")] = None,
    viewer_key: Annotated[
        str | None,
        typer.Option(
            help="Publishable key: what viewers do is sent with it, and with signed tokens. The collector's "
            "max_browser_age_hours has to reach back over all --days."
        ),
    ] = None,
    tokens_file: Annotated[Path | None, typer.Option(help="Token secrets, for --viewer-key.")] = None,
    tenant: options.Tenant = "default",
    rate: sending.Rate = None,
    connections: sending.Connections = 4,
    batch: sending.Batch = 500,
    compression: sending.Encoding = "none",
    wait: options.Wait = False,
    patience: options.PatienceSeconds = 30.0,
    form: options.Format = "table",
) -> None:
    """Send the traffic of a simulated world, whose truth is known, through the public API."""
    json = form == "json"
    from clapometer.traffic import TrafficOptions, build_traffic, truth_of, write_truth

    catching_up.can_wait(wait)
    options = sending.sender_options(
        url=url, key=key, key_file=key_file, rate=rate, connections=connections, batch=batch, compression=compression
    )
    now = dt.datetime.now(dt.UTC)
    traffic = build_traffic(
        world_config(
            without or [],
            calm,
            n_models=models,
            n_prompts=prompts,
            n_sessions=sessions,
            n_viewers=viewers,
            n_days=days,
            explore=explore,
            quality_spread=spread,
        ),
        TrafficOptions(
            seed=seed,
            until=now if until is None else until.replace(tzinfo=until.tzinfo or dt.UTC),
            conversions=conversions,
            votes=votes,
            signing=_signing(viewer_key, tokens_file, tenant, now),
        ),
    )
    if truth is not None:
        write_truth(truth_of(traffic), truth)
    report = _send(traffic, options, viewer_key, json)
    catching_up.after_sending(wait, patience=patience, quiet=json)
    sending.print_report(report, json=json, more={"impressions": len(traffic.log), "source": traffic.source})


def world_config(without: list[str], calm: bool, **sizes: float | None) -> "WorldConfig":
    """Returns the world that the switches describe; a size that is ``None`` is that of the world by default.

    Raises:
        InputError: A switch is unknown.
    """
    from clapometer.simulation import CONFOUNDERS, WorldConfig

    for name in without:
        if name not in CONFOUNDERS:
            msg = f"{name!r} is no confounder; known are {', '.join(CONFOUNDERS)}"
            raise InputError(msg, "without")
    given = {name: size for name, size in sizes.items() if size is not None}
    if calm:
        return WorldConfig.calm(**given)
    return WorldConfig(**{**given, **dict.fromkeys(without, False)})  # type: ignore[arg-type]


def _signing(viewer_key: str | None, tokens_file: Path | None, tenant: str, now: dt.datetime) -> "Signing | None":
    if (viewer_key is None) != (tokens_file is None):
        msg = "give --viewer-key and --tokens-file together: without tokens the impressions would weigh nothing"
        raise InputError(msg, "viewer-key")
    if tokens_file is None:
        return None
    if not tokens_file.is_file():
        msg = "no such file"
        raise InputError(msg, str(tokens_file))
    from clapometer.gate.tokens import load_token_secrets
    from clapometer.traffic import Signing

    key_id, secret = load_token_secrets(tokens_file).signing()
    return Signing(tenant, key_id, secret, int((now + _TOKENS_VALID).timestamp()))


def _send(traffic: "WorldTraffic", options: "SendOptions", viewer_key: str | None, quiet: bool) -> "SendReport":
    if viewer_key is None:
        return sending.send_with_progress(
            traffic.events(), options, title="simulated events", total=traffic.n_events, quiet=quiet
        )
    clips = sending.send_with_progress(traffic.registrations(), options, title="registrations", total=None, quiet=quiet)
    by_viewers = dataclasses.replace(options, key=viewer_key)
    paid: list[Event] = []
    views = sending.send_with_progress(
        _without_purchases(traffic.engagement(), paid), by_viewers,
        title="engagement", total=traffic.n_events - clips.acknowledged, quiet=quiet,
    )  # fmt: skip
    shop = sending.send_with_progress(paid, options, title="purchases", total=len(paid), quiet=quiet)
    return sending.add_reports(sending.add_reports(clips, views), shop)


def _without_purchases(events: "Iterable[Event]", paid: "list[Event]") -> "Iterator[Event]":
    """Yields the events but for purchases, which go to ``paid``: the shop's server says what was paid."""
    from clapometer.domain.events import Converted

    for event in events:
        if isinstance(event, Converted) and event.data.kind == "purchase":
            paid.append(event)
        else:
            yield event
