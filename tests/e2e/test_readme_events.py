"""The events that README shows, sent as they stand there: by curl, by Python and by a page."""

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import sync_playwright
from tests.e2e.players import QUIET
from tests.e2e.running import RunningService
from tests.support.waiting import until

README = (Path(__file__).parents[2] / "README.md").read_text()
COLLECTOR = "http://127.0.0.1:8480"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    running = RunningService(tmp_path_factory.mktemp("readme"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def key(service: RunningService) -> str:
    return service.secret_key()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def shown(language: str, service: RunningService) -> str:
    """Returns what README shows in a language, for the service that runs here."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    assert COLLECTOR in code
    return str(code).replace(COLLECTOR, service.collector)


def impressions(service: RunningService, clip_id: str) -> list[str]:
    file = service.lake / "clapometer.duckdb"
    if not file.exists():
        return []
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{file}' AS lake (READ_ONLY)")
        found = connection.execute("SELECT impression_id FROM lake.impressions WHERE clip_id = $1", [clip_id])
        return [row[0] for row in found.fetchall()]


@pytest.mark.parametrize(("language", "program"), [("sh", ["sh"]), ("python", [sys.executable])])
def test_an_event_of_readme_is_accepted_as_it_stands(
    service: RunningService, key: str, language: str, program: list[str]
) -> None:
    done = subprocess.run(
        [*program, "-"], input=shown(language, service), env={**service.environment, "KEY": key},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert (answer["accepted"], answer["rejected"]) == (1, [])


def test_the_page_of_readme_sends_its_event_with_the_sdk_that_the_collector_serves(
    service: RunningService, site: str
) -> None:
    key = service.command("keys", "new", "--kind", "publishable", "--origin", site).strip()
    before = impressions(service, "fox-1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page()
        page.goto(site)
        pending = page.evaluate(
            f"async (KEY) => {{ {shown('js', service)}; return clapometer.pending; }}",
            key,
        )
        browser.close()
    assert pending == 0
    until(lambda: len(impressions(service, "fox-1")) > len(before))
