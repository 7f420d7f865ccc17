"""A lake on an object store as its users run it: ``up`` on one machine, ``serve`` on another, and two erasures."""

import datetime as dt
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from tests.e2e.running import RunningService
from tests.support.object_store import CREDENTIALS, REGION, create_bucket, object_store
from tests.support.waiting import until
from tests.unit.takedown.test_erase import holders

VIEWER = "viewer-who-wants-to-be-forgotten"
ANOTHER = "viewer-who-asks-the-endpoint"
ERASED = {(0, "old", 0): VIEWER, (1, "old", 0): ANOTHER}
PLACE = "s3://clips/engagement"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with object_store() as address:
        create_bucket(address, "clips")
        yield address


@pytest.fixture
def machines(tmp_path: Path, store: str) -> Iterator[list[RunningService]]:
    """Two machines with disks of their own that share nothing but the object store and the keys."""
    made = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        made.append(
            RunningService(
                folder,
                lake=PLACE,
                lake_copies=folder / "copies",
                lake_endpoint=store,
                lake_region=REGION,
                keys_file=tmp_path / "keys.json",
                tokens_file=tmp_path / "tokens.json",
                schedule="3s",
            )
        )
    yield made
    for machine in made:
        if machine.process is not None and machine.process.poll() is None:
            machine.kill()


def events() -> list[dict[str, object]]:
    """Two model versions on the same twenty prompts; the viewers to be erased saw one clip each."""
    now = dt.datetime.now(dt.UTC).isoformat()
    made: list[tuple[str, str, dict[str, object]]] = []
    for prompt in range(20):
        for model in ("old", "new"):
            clip = f"{model}-{prompt}"
            registered = {
                "clip_id": clip, "prompt": {"text": f"prompt {prompt}"}, "model": {"name": "m", "version": model},
                "duration_ms": 5_000, "task": "t2v",
            }  # fmt: skip
            made.append(("clip_registered", clip, registered))
            for view in range(8):
                viewer = ERASED.get((prompt, model, view), f"viewer {clip} {view}")
                shown = {"impression_id": f"{clip}-{view}", "clip_id": clip, "viewer_id": viewer}
                made.append(("impression", f"{clip}-{view}", shown))
                ms = 4_500 if model == "new" else 1_000 + 100 * view
                made.append(("watched", f"w-{clip}-{view}", {"impression_id": f"{clip}-{view}", "watched_ms": ms}))
    head = {"specversion": "1.0", "source": "/object-store-test", "time": now}
    return [{**head, "id": id_, "type": f"clapometer.{kind}.v1", "data": data} for kind, id_, data in made]


def ranking(machine: RunningService, key: str) -> dict[str, Any]:
    """Returns what a machine answers about model versions; nothing where it has no answer yet."""
    request = urllib.request.Request(
        f"{machine.serving}/v1/rankings/model_versions", headers={"authorization": f"Bearer {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        if error.code not in {404, 503}:
            raise
        return {}


def held_by(store: str, text: str) -> list[str]:
    """Returns the objects in the bucket that hold a text."""
    bucket = S3Store(
        "clips", endpoint=store, region=REGION, access_key_id="testing", secret_access_key="testing",
        client_options={"allow_http": True},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for listed in obstore.list(bucket):
            for each in listed:
                path = folder / each["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # deleted since
                    path.write_bytes(obstore.get(bucket, each["path"]).bytes())
        return holders(folder, text)


def test_what_one_machine_ranks_another_serves_and_an_erasure_reaches_the_bucket(
    tmp_path: Path, machines: list[RunningService], store: str
) -> None:
    one, other = machines
    key = one.secret_key()
    one.start("serving")
    sent = events()
    assert (
        sum(int(str(one.post("/v1/events", key, sent[n : n + 400])["accepted"])) for n in (0, 400)) == len(sent) == 680
    )
    other.start("serving", "serve")
    until(lambda: ranking(one, key).get("rows"), every=0.2)
    until(lambda: ranking(other, key).get("rows"), every=0.2)
    assert held_by(store, ANOTHER)
    delete = urllib.request.Request(
        f"{one.collector}/v1/viewers/{ANOTHER}", method="DELETE", headers={"authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(delete, timeout=120) as answer:
        assert answer.status == 202
    until(lambda: not held_by(store, ANOTHER), 150, every=3)  # upkeep looks every minute
    assert holders(one.folder, ANOTHER) == []
    assert one.stop() == 0
    assert held_by(store, VIEWER)
    erased = json.loads(one.command("erase", VIEWER, "--format", "json"))
    assert erased["rows"]["events"] == 3, "an impression, what was watched of it, and the order"
    assert held_by(store, VIEWER) == []
    assert holders(one.folder, VIEWER) == []
    assert ranking(other, key)["rows"], "it serves on"
    assert other.stop() == 0
