"""Refusals in a browser are pages; programs get a problem in JSON, whatever went wrong."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.serving.running import PUBLISHABLE, Serving
from tests.unit.serving.sample_lake import EVIL, full_lake

from clapometer.serving import ServingConfig

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PROBLEM = "application/problem+json"
WRONG = {
    "/nope": 404,
    "/a/b/nope?x=1": 404,
    "/?offset=many": 422,
    "/?subject=cats": 422,
    "/?task=t2v&locale=de": 422,
    "/?task=t2v&task=i2v": 422,
    "/?as_of=2026-01-01T00:00:00": 422,
    "/?run=a&as_of=b": 422,
}


@pytest.mark.parametrize(("path", "status"), WRONG.items())
def test_a_wrong_address_is_a_page_in_a_browser_and_a_problem_for_a_program(
    path: str, status: int, serving: Serving
) -> None:
    page = serving.get(path, accept=BROWSER)
    assert page.status_code == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert f'<p class="muted">{status}</p>' in page.text
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    depth = path.partition("?")[0].count("/") - 1
    assert all(link.startswith("../" * depth or "./") for link in links)
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        assert serving.get(path, accept=accept).headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    "path",
    [
        "/?utm_source=slack",
        "/?utm_source=a&utm_source=b&fbclid=1",
        "/?task=t2v&ref=mail",
        "/?task=&run=&subject=&offset=",
    ],
)
def test_what_links_get_on_their_way_is_ignored(path: str, serving: Serving) -> None:
    answer = serving.get(path, accept=BROWSER)
    assert answer.status_code == 200
    assert "The numbers" in answer.text


def test_an_unknown_run_is_a_page_that_leads_back(serving: Serving) -> None:
    answer = serving.get("/?run=zzz", accept=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Back to the newest ranking" in answer.text


@pytest.mark.parametrize(
    "path", ["/v1/nope", "/v1/rankings/cats", "/v1/rankings/prompts?utm_source=slack", "/v1/compare"]
)
def test_routes_of_the_api_answer_in_json_whoever_asks(path: str, serving: Serving) -> None:
    answer = serving.get(path, accept=BROWSER)
    assert answer.status_code in {404, 422}
    assert answer.headers["content-type"] == PROBLEM


def test_a_page_that_needs_a_key_says_so_and_has_the_browser_ask(tmp_path: Path, start: Callable[..., Serving]) -> None:
    private = start(full_lake(tmp_path / "lake").storage.published, ServingConfig(public_tenant=None))
    answer = private.get("/", accept=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "Basic" in answer.headers["www-authenticate"]
    assert "clapometer keys new" in answer.text
    assert private.get("/", key=PUBLISHABLE, accept=BROWSER).status_code == 403
    assert private.get("/").headers["content-type"] == PROBLEM


def test_a_damaged_lake_is_a_page_too(tmp_path: Path, start: Callable[..., Serving]) -> None:
    damaged = tmp_path / "clapometer.duckdb"
    damaged.write_bytes(b"no database")
    server = start(damaged)
    answer = server.get("/", accept=BROWSER)
    assert answer.status_code in {500, 503}
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert server.get("/").headers["content-type"] == PROBLEM


def test_an_address_cannot_become_markup(serving: Serving) -> None:
    for path in (f"/{EVIL}", f"/?subject={EVIL}"):
        answer = serving.http.get(path, headers={"accept": BROWSER})
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "<script>document" not in answer.text
