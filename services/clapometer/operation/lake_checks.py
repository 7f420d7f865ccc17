"""What ``clapometer doctor`` looks at in the lake: its files, its ledger, and the newest run of every tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clapometer.domain import nearest
from clapometer.operation import wiring
from clapometer.operation.check import Check
from clapometer.settings import Settings

if TYPE_CHECKING:
    from clapometer.lake.tables import Lake

_SHOWN_TENANTS = 5


def lake(settings: Settings) -> Iterator[Check]:
    """Yields what is damaged, and whether every event that was received is accounted for."""
    from clapometer.lake.ledger import ledger_difference

    if not wiring.has_lake(settings):
        return
    damaged = list(_damaged(settings))
    yield from damaged
    if damaged:
        return
    opened = wiring.open_lake(settings)
    rows = opened.rows("events")
    difference = next((0 for _ in range(3) if not ledger_difference(opened)), None)
    lost = ledger_difference(opened) if difference is None else 0
    yield Check(
        part="lake", status="error" if lost else "ok",
        found=f"{settings.lake}: {rows:,} events, ledger difference {lost:,}",
        advice="events were lost or doubled after they were received: restore a backup, or load the log again" if lost
        else "",
    )  # fmt: skip
    yield from _changed_clips(opened)
    yield from _without_clips(opened)
    yield from _unregistered(opened)


def _changed_clips(lake: Lake) -> Iterator[Check]:
    """Looks for clips that were given another prompt or model: their rankings mix two clips."""
    with lake.connect(threads=1) as connection:
        query = "SELECT count(DISTINCT (tenant, clip_id)), max(clip_id) FROM clip_changes"
        ((clips, one),) = connection.execute(query).fetchall()
    if clips:
        yield Check(
            part="clips", status="warning", found=f"{clips:,} clips changed prompt or model, such as {one}",
            advice="all their impressions count for the latest; `clapometer sql 'FROM clip_changes'` lists them: give "
            "another clip another id",
        )  # fmt: skip


def _without_clips(lake: Lake) -> Iterator[Check]:
    """Looks for tenants whose clips nobody registered: no run is made for them, so no run tells."""
    with lake.connect(threads=1) as connection:
        query = "SELECT tenant, count(*) FROM impressions WHERE tenant NOT IN (SELECT tenant FROM clips) GROUP BY ALL"
        found = sorted(connection.execute(query).fetchall())
    for tenant, impressions in found:
        yield Check(
            part="clips", status="warning",
            found=f"tenant {tenant} has shown clips {impressions:,} times and registered none: it is not ranked",
            advice="PUT /v1/clips/{id} for every clip, best before it is shown",
        )  # fmt: skip


def _unregistered(lake: Lake) -> Iterator[Check]:
    """Looks for senders whose newest impressions are of clips that nobody registered, although others are."""
    from clapometer.lake.statements import sql

    with lake.connect(threads=1) as connection:
        given = {"tenant": None, "n": _SHOWN_TENANTS}
        found = connection.execute(sql("lake/sql/unregistered_shown.sql"), given).fetchall()
        known = {tenant for (tenant,) in connection.execute("SELECT DISTINCT tenant FROM clips").fetchall()}
    for tenant, source, impressions, clips, example in found:
        if tenant in known:
            yield Check(
                part="clips", status="warning",
                found=f"{source} of tenant {tenant} shows clips that nobody registered: {clips:,} of them "
                f"{impressions:,} times in the newest two days, such as {example}; they count in no ranking",
                advice="PUT /v1/clips/{id} for every clip, best before it is shown",
            )  # fmt: skip


def _damaged(settings: Settings) -> Iterator[Check]:
    from clapometer.lake.damage import find_damage

    for each in find_damage(wiring.lake_storage(settings)):
        yield Check(part="lake", status="error", found=str(each), advice=each.advice)


def training(settings: Settings) -> Iterator[Check]:
    """Looks at the newest run of every tenant: that of one says nothing about the others."""
    from clapometer.training.planning import tenants
    from clapometer.training.runs import newest_runs

    if not wiring.has_lake(settings):
        return
    opened = wiring.open_lake(settings)
    newest = newest_runs(opened)
    owners = sorted({*newest, *tenants(opened)})
    good = [tenant for tenant in owners if tenant in newest and newest[tenant].status == "succeeded"]
    for tenant in owners:
        if tenant not in newest:
            yield Check(
                part="training", status="warning", found=f"tenant {tenant}: no run yet",
                advice=f"`clapometer train --tenant {tenant}` makes the first ranking",
            )  # fmt: skip
        elif tenant not in good:
            run = newest[tenant]
            yield Check(
                part="training", status="warning",
                found=f"tenant {tenant}: the newest run ({run.started_at:%Y-%m-%d %H:%M} UTC) failed: {run.error}",
                advice="mend the reason; until then the last good ranking is served, if there is one",
            )  # fmt: skip
    if good:
        yield Check(part="training", status="ok", found=f"the newest run of {_tenants(good)} succeeded")
    public = settings.public_tenant
    if owners and public and public not in owners:
        yield Check(
            part="training", status="warning",
            found=f"public_tenant is {public!r}, which has registered no clip{nearest(public, owners)}",
            advice="nobody reads a ranking without a key; name a tenant, or set it to nothing if that is meant",
        )  # fmt: skip
    if not owners:
        yield Check(
            part="training", status="warning", found="no run yet", advice="`clapometer train` makes the first ranking"
        )


def _tenants(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_TENANTS])
    rest = len(names) - _SHOWN_TENANTS
    return f"{len(names)} tenant{'s' if len(names) > 1 else ''} ({shown}{f' and {rest} more' if rest > 0 else ''})"
