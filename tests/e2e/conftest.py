"""Browsers as their users have them, and what they meet."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from tests.e2e.firefox import Firefox
from tests.e2e.players import QUIET, Serving, Way, film, site
from tests.support.waiting import PATIENCE
from tests.unit.collector.conftest import Collector

from clapometer.collector import CollectorConfig


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, then Firefox."""
    if request.param == "firefox":
        firefox = Firefox(tmp_path_factory.mktemp("firefox"))
        yield firefox
        firefox.close()
        return
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=QUIET,
            ignore_default_args=["--disable-back-forward-cache"],
        )  # fmt: skip
        context = chromium.new_context()  # one for all pages: tabs of a person share their storage
        context.set_default_timeout(PATIENCE * 1000)
        yield context
        chromium.close()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clip.webm` and `other.mp4` of three seconds, and `long.webm` of twelve."""
    folder = tmp_path_factory.mktemp("clips")
    film(folder / "clip.webm", 3)
    film(folder / "other.mp4", 3)
    film(folder / "long.webm", 12)
    return folder


@pytest.fixture
def shop(clips: Path) -> Iterator[Serving]:
    """The site with the player: of an origin of its own, so that nothing waits in its storage."""
    serving = site(clips)
    yield serving
    serving.stop()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    running = Collector(tmp_path, CollectorConfig())
    yield running
    running.stop()


@pytest.fixture
def way(collector: Collector) -> Iterator[Way]:
    """The way from pages to the collector."""
    leading = Way(collector)
    yield leading
    leading.serving.stop()


@pytest.fixture
def page(browser: Any, shop: Serving) -> Iterator[Any]:
    """A tab with the player."""
    opened = browser.new_page()
    opened.goto(f"{shop.address}/page/one")
    yield opened
    opened.close()
