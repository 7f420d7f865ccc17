"""The statements of the cookbook, and a small lake like the demo's to ask them of."""

import datetime as dt
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
from tests.builders import block, event

from clapometer.client import TrafficOptions, WorldTraffic, build_traffic
from clapometer.domain import Event, RejectedEvent
from clapometer.domain.events import Experiment, Impression
from clapometer.eventlog import MemoryLog
from clapometer.jobs.load import Loader, LoadSettings
from clapometer.jobs.rankings import Parameters
from clapometer.jobs.train import train_once
from clapometer.lake import Lake, publish
from clapometer.simulation import WorldConfig

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "cookbook.md"
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
    """Yields a world's events, half of the impressions in an experiment; creators' choices; a clip taken down.

    One clip is reported by whoever sees it.
    """
    registered = list(traffic.registrations())
    yield from registered
    clips = [each.data.clip_id for each in registered]
    for each in traffic.engagement():
        if not isinstance(each, Impression):
            yield each
            continue
        yield _in_experiment(each)
        if each.data.clip_id == clips[0]:
            report = {"impression_id": each.data.impression_id, "reaction": "report"}
            yield event("reacted", f"report {each.id}", report, time=each.time.isoformat())
    start = (UNTIL - dt.timedelta(days=20)).isoformat()
    for n in range(40):
        shown = clips[n * 3 : n * 3 + 3]
        acted = {"batch_id": f"b{n}", "action": "accepted", "chosen_clip_id": shown[0], "shown_clip_ids": shown}
        yield event("creator_acted", f"act {n}", acted, time=start)
    yield event("clip_withdrawn", "taken", {"clip_id": clips[5], "reason": "rights"}, time=start)


def _in_experiment(shown: Impression) -> Impression:
    number = sum(shown.data.viewer_id.encode())
    if number % 2:
        return shown
    arm = Experiment(id="autoplay sound", variant="on" if number % 4 else "off")
    return msgspec.structs.replace(shown, data=msgspec.structs.replace(shown.data, experiment=[arm]))
