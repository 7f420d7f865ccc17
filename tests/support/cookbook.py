"""The statements of the cookbook, and a small lake like the demo's to ask them of."""

import datetime as dt
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
from tests.support.builders import block, event

from clapometer.domain import Event, RejectedEvent
from clapometer.domain.events import Experiment, Impression
from clapometer.eventlog import MemoryLog
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.simulation import WorldConfig
from clapometer.traffic import TrafficOptions, WorldTraffic, build_traffic
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "cookbook.md"
UNTIL = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
QUESTION = re.compile(r"^### (\d+)\. (.+?)\n.*?```sql\n(.+?)```", re.DOTALL | re.MULTILINE)


def questions() -> dict[str, str]:
    """Returns the SQL of each question, by its number and words."""
    return {f"{number}. {words}": query for number, words, query in QUESTION.findall(PAGE.read_text())}


def demo_like_lake(root: Path) -> Lake:
    """Returns a published lake of 30,000 impressions with something of everything, trained twice."""
    config = WorldConfig(n_prompts=300, n_sessions=3_000, n_viewers=1_200, bots=12)
    traffic = build_traffic(config, TrafficOptions(seed=4, until=UNTIL, conversions=0.02, votes=300))
    lake, log = Lake(root), MemoryLog()
    events = _events(traffic)
    while part := list(islice(events, 500)):
        log.append_many([block(part, received_at=UNTIL, trust="key")])
    refused = RejectedEvent(reason="unknown event type", field="type", raw=b'{"type":"clapometer.liked.v1"}')
    log.append_many([block([], received_at=UNTIL, rejected=[refused])])
    loader = Loader(log, lake, LoadSettings(upkeep=None), clock=lambda: UNTIL)
    while loader.load_once().blocks:
        pass
    loader.close()
    for day in (1, 2):
        report = train_once(
            lake, clock=lambda day=day: UNTIL + dt.timedelta(days=day), parameters=Parameters(min_impressions=50)
        )
        assert report.run.status == "succeeded", report.run.error
    publish(lake)
    return lake


def _events(traffic: WorldTraffic) -> Iterator[Event]:
    """Yields a world's events, half of the impressions in an experiment, with what no world has.

    That is creators' choices, a clip taken down, and one that is reported.
    """
    registered = list(traffic.registrations())
    yield from registered
    clips = [each.data.clip_id for each in registered]
    seen: list[Impression] = []
    for each in traffic.engagement():
        yield _in_experiment(each) if isinstance(each, Impression) else each
        if isinstance(each, Impression) and each.data.clip_id == clips[7]:
            seen.append(each)
    for n, shown in enumerate(seen[:8]):
        said = {"impression_id": shown.data.impression_id, "reaction": "report"}
        yield event("reacted", f"report {n}", said, time=UNTIL.isoformat())
    start = (UNTIL - dt.timedelta(days=20)).isoformat()
    for n in range(40):
        offered = clips[n * 3 : n * 3 + 3]
        acted = {"batch_id": f"b{n}", "action": "accepted", "chosen_clip_id": offered[0], "shown_clip_ids": offered}
        yield event("creator_acted", f"act {n}", acted, time=start)
    yield event("clip_withdrawn", "taken", {"clip_id": clips[5], "reason": "rights"}, time=start)


def _in_experiment(shown: Impression) -> Impression:
    number = sum(shown.data.viewer_id.encode())
    if number % 2:
        return shown
    arm = Experiment(id="autoplay sound", variant="on" if number % 4 else "off")
    return msgspec.structs.replace(shown, data=msgspec.structs.replace(shown.data, experiment=[arm]))
