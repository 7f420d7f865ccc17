"""A server whose statements have little memory, and one where they have little time too."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.event_rows import answer, at, events_table, impression
from tests.unit.serving.running import SECRET, Serving
from tests.unit.serving.sample_lake import full_lake

from clapometer.folding.fold import refresh_outcomes
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.serving import ServingConfig
from clapometer.serving.sandbox import process

Ask = Callable[..., httpx2.Response]
CONFIG = ServingConfig(
    refresh_seconds=0, sql_seconds=20, sql_memory=192 << 20, sql_max_rows=1_000, sql_max_bytes=1 << 20,
    sql_per_key=4, sql_in_all=4,
)  # fmt: skip


def viewed_lake(root: Path) -> Lake:
    """Returns a published lake in which 20 viewers saw a clip in the feed and one saw it in search."""
    lake = full_lake(root)
    shown = [
        impression(f"i{i}", "kite@3.1/0", at(i), viewer_id=f"viewer-{i}", surface="search" if i == 20 else "feed")
        for i in range(21)
    ]
    watched = [answer("watched", f"i{i}", f"w{i}", at(i), watched_ms=1000 + 100 * i) for i in range(21)]
    foreign = [impression("theirs", "c", at(0), tenant="other", viewer_id="their viewer")]
    lake.append("events", events_table([*shown, *watched, *foreign]))
    refresh_outcomes(lake)
    publish(lake)
    return lake


@pytest.fixture(scope="session")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return viewed_lake(tmp_path_factory.mktemp("sql") / "lake")


@pytest.fixture(scope="module")
def server(viewed: Lake) -> Iterator[Serving]:
    running = Serving(viewed.storage.published, CONFIG)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def strict(viewed: Lake) -> Iterator[Serving]:
    running = Serving(viewed.storage.published, replace(CONFIG, sql_seconds=1))
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements keep their time; to start a process may take long where many others run."""
    monkeypatch.setattr(process, "GRACE_SECONDS", 110.0)


def asker(serving: Serving) -> Ask:
    def ask(sql: str, key: str | None = SECRET, **more: Any) -> httpx2.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return serving.http.post("/v1/sql", json={"sql": sql, **more}, headers=headers)

    return ask


@pytest.fixture(scope="module")
def ask(server: Serving) -> Ask:
    return asker(server)
