"""The tutorial's way: a page with a player, Clapometer's slates, and what becomes of it in the lake."""

import http.server
import runpy
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import httpx2
import msgspec
import pytest
from playwright.sync_api import sync_playwright
from tests.e2e.players import QUIET, film
from tests.e2e.running import RunningService
from tests.support.waiting import until

EXAMPLE = Path(__file__).parents[2] / "sdk" / "js" / "example" / "server.py"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path)
    yield running
    running.stop()


def register(service: RunningService, key: str, clip_id: str, version: str) -> None:
    clip = {
        "prompt": {"text": "a fox"},
        "model": {"name": "lumen", "version": version},
        "duration_ms": 2000,
        "task": "t2v",
    }
    request = urllib.request.Request(
        f"{service.collector}/v1/clips/{clip_id}",
        data=msgspec.json.encode(clip),
        method="PUT",
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 202


def trained(service: RunningService) -> bool:
    """Trains; returns whether that was done here, and not refused as the schedule's own training was under way."""
    try:
        service.command("train")
    except AssertionError as error:
        if "another process is training" not in " ".join(str(error).split()):
            raise
        return False
    return True


def outcomes(service: RunningService) -> list[tuple[Any, ...]]:
    file = service.lake / "clapometer.duckdb"
    if not file.exists():
        return []
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{file}' AS lake (READ_ONLY)")
        return connection.execute(
            "SELECT i.clip_id, i.trust, i.propensity, max(w.total_ms), count(DISTINCT r.reaction) "
            "FROM lake.impressions i JOIN lake.watches w USING (tenant, impression_id) "
            "LEFT JOIN lake.reactions r USING (tenant, impression_id) GROUP BY ALL ORDER BY 1"
        ).fetchall()


def asked(url: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any], str]:
    """Returns status, answer and cookie."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = httpx2.request("GET" if body is None else "POST", url, json=body, headers=given, trust_env=False)
    return answer.status_code, answer.json(), answer.headers.get("set-cookie", "").partition(";")[0]


def a_page_is_nobody_that_it_names(platform: str, service: RunningService, key: str) -> None:
    """Who keeps the cookie stays the same viewer; who writes one of their own is somebody new."""
    _, own, cookie = asked(f"{platform}/session")
    assert asked(f"{platform}/session", cookie=cookie)[1]["viewer_id"] == own["viewer_id"]
    seal = cookie.partition(".")[2]
    for written in ("viewer=victim", f"viewer=victim.{seal}", f"viewer={own['viewer_id']}", "viewer=."):
        assert asked(f"{platform}/session?viewer=victim", cookie=written)[1]["viewer_id"] not in (
            "victim",
            own["viewer_id"],
        )
    request = {"viewer_id": own["viewer_id"], "candidates": own["candidates"]}
    told = {"authorization": f"Bearer {key}", "clapometer_voucher": own["voucher"]}
    slates = f"{service.serving}/v1/slates"
    assert asked(slates, request, **told)[0] == 200
    assert asked(slates, request | {"viewer_id": "victim"}, **told)[0] == 403
    assert asked(slates, request | {"candidates": own["candidates"][:1]}, **told)[0] == 403
    assert asked(slates, request, authorization=f"Bearer {key}")[0] == 403


def test_what_a_viewer_does_on_the_example_page_is_in_the_lake_and_trusted(
    service: RunningService, tmp_path: Path
) -> None:
    secret = service.secret_key()
    publishable = service.command("keys", "new", "--kind", "publishable").strip()
    service.start()
    until(lambda: service.is_ready(service.serving))
    clips = tmp_path / "clips"
    clips.mkdir()
    options = SimpleNamespace(
        clips=clips, secret_key=secret, publishable_key=publishable,
        collector=service.collector, serving=service.serving,
    )  # fmt: skip
    example = runpy.run_path(str(EXAMPLE))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), example["handler"](options)) as platform,
        sync_playwright() as playwright,
    ):
        thread = threading.Thread(target=platform.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{platform.server_address[1]}"
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        try:
            page = chromium.new_page()
            for version in ("1.0", "2.0"):
                film(clips / f"fox-{version}.webm", 2)
                register(service, secret, f"fox-{version}.webm", version)
            page.goto(f"{address}/")
            page.wait_for_selector("video")
            a_page_is_nobody_that_it_names(address, service, publishable)
            page.click("button >> nth=0")
            page.wait_for_function("() => document.querySelector('video').currentTime > 1")
            page.goto("about:blank")
            until(lambda: any(row[3] > 500 and row[4] for row in outcomes(service)))
        finally:
            chromium.close()
            platform.shutdown()
            thread.join()
    for clip_id, trust, propensity, *_ in outcomes(service):
        assert clip_id.startswith("fox-")
        assert trust == "token"
        assert propensity == pytest.approx(0.5)
    until(lambda: trained(service))
    told = service.command("rank", "model_versions")
    assert "lumen@1.0" in told
    assert "lumen@2.0" in told
