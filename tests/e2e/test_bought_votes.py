"""Votes over HTTP to a ranking: seventy of one viewer do not outvote two hundred people."""

import datetime as dt
import random
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e.running import RunningService
from tests.support.waiting import until

PROMPTS = 30
BETTER = {0: 0.85, 1: 0.75, 2: 0.65}
"""Chance of an honest vote for the better one, by the sum of the two versions less one."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path, schedule="0 0 1 1 *")
    yield running
    running.stop()


def ask(url: str, key: str, body: object = None, method: str = "GET") -> Any:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = None if body is None else msgspec.json.encode(body)
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=120) as answer:
        return msgspec.json.decode(answer.read())


def event(kind: str, id_: str, time: dt.datetime, **data: object) -> dict[str, object]:
    stamp = time.isoformat().replace("+00:00", "Z")
    return {
        "specversion": "1.0", "id": id_, "source": "/votes", "type": f"clapometer.{kind}.v1", "time": stamp,
        "data": data,
    }  # fmt: skip


def ballot(id_: str, clips: tuple[str, str], result: str, viewer: str, time: dt.datetime) -> list[dict[str, object]]:
    shown = [
        event("impression", f"{id_}-{side}", time, impression_id=f"{id_}-{side}", clip_id=clip, viewer_id=viewer)
        for side, clip in zip("lr", clips, strict=True)
    ]
    ids = {"left_impression_id": f"{id_}-l", "right_impression_id": f"{id_}-r"}
    return [*shown, event("voted", id_, time + dt.timedelta(seconds=9), result=result, **ids)]


def test_votes_of_one_viewer_do_not_turn_what_two_hundred_people_said(service: RunningService) -> None:
    key = service.secret_key()
    service.start()
    until(lambda: service.is_ready(service.serving))
    rng, now = random.Random(3), dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    sent = [
        event(
            "clip_registered", f"reg-{prompt}-{version}", now - dt.timedelta(hours=1), clip_id=f"c{prompt}-{version}",
            prompt={"text": f"prompt {prompt}"}, model={"name": "m", "version": str(version)}, duration_ms=4000,
            task="t2v",
        )
        for prompt in range(PROMPTS)
        for version in range(3)
    ]  # fmt: skip
    for k in range(200):
        prompt, (left, right) = rng.randrange(PROMPTS), rng.sample(range(3), 2)
        right_way = rng.random() < BETTER[left + right - 1]
        result = "left" if (left < right) == right_way else "right"
        sent += ballot(f"v{k}", (f"c{prompt}-{left}", f"c{prompt}-{right}"), result, f"person-{k}", now)
    for k in range(70):
        clips = (f"c{k % PROMPTS}-2", f"c{k % PROMPTS}-{k // PROMPTS % 2}")
        sent += ballot(f"bought{k}", clips, "left", "buyer", now)
    for start in range(0, len(sent), 400):
        answer = ask(f"{service.collector}/v1/events", key, sent[start : start + 400], "POST")
        assert answer["rejected"] == []
    service.command("train")
    ranking = ask(f"{service.serving}/v1/rankings/model_versions?evidence=votes", key)
    assert [row["item"] for row in ranking["rows"]] == ["m@0", "m@1", "m@2"]
    assert ranking["rows"][-1]["verdict"] == "stop"
    assert ranking["run"]["excluded"]["vote that a later one of the same viewer replaced"] == 10
    found = msgspec.json.decode(service.command("audit", "--format", "json"))["findings"]
    assert {"vote influence", "vote cost"} <= {each["check"] for each in found if each["status"] != "skipped"}
