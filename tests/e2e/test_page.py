"""The page in real Chromium: what it draws, at both widths, and that nothing goes wrong or out while it does."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright
from tests.support.waiting import until
from tests.unit.serving.running import Serving
from tests.unit.serving.sample_lake import NOW, add_failed_run, add_run, full_lake

from clapometer.lake.published.publish import publish

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTHS = {"wide": 1280, "narrow": 360}


@dataclass
class Seen:
    """A page that is open, with everything that went wrong or to somebody else."""

    page: Page
    base: str
    trouble: list[str] = field(default_factory=list)

    def open(self, path: str = "/", figures: int = 3) -> None:
        self.page.on("console", lambda message: self.trouble.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", self._request)
        self.page.goto(self.base + path)
        if figures:
            until(lambda: self.page.evaluate("document.querySelectorAll('.figure.drawn svg').length") == figures)

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self.base):
            self.trouble.append(f"request to {request.url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Serving]]:
    """A server with a good ranking, one with a stale one of tier C, one without any."""
    good = full_lake(tmp_path_factory.mktemp("page") / "lake")
    stale = full_lake(tmp_path_factory.mktemp("page") / "stale")
    add_run(stale, "run-c", NOW, tier="C", calibrated=False)
    add_failed_run(stale, "run-x", "no signal of the rule occurs")
    publish(stale)
    running = {
        "good": Serving(good.storage.published),
        "stale": Serving(stale.storage.published),
        "empty": Serving(Path(tmp_path_factory.mktemp("page")) / "clapometer.duckdb"),
    }
    yield running
    for server in running.values():
        server.stop()


@pytest.fixture
def see(browser: Browser, servers: dict[str, Serving]) -> Iterator[Any]:
    """Opens pages; fails the test where one of them reported trouble."""
    contexts: list[BrowserContext] = []
    pages: list[Seen] = []

    def opened(
        server: str = "good", width: str = "wide", scheme: Any = "light", path: str = "/", figures: int = 3
    ) -> Page:
        context = browser.new_context(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme)
        contexts.append(context)
        seen = Seen(context.new_page(), servers[server].url)
        pages.append(seen)
        seen.open(path, figures)
        return seen.page

    yield opened
    trouble = [text for seen in pages for text in seen.trouble]
    for context in contexts:
        context.close()
    assert trouble == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("server", "figures"), [("good", 3), ("stale", 3), ("empty", 0)])
def test_the_page_fits_its_window_without_errors_or_requests_elsewhere(
    see: Any, width: str, scheme: str, server: str, figures: int
) -> None:
    page = see(server, width, scheme, figures=figures)
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width]
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".figure svg, .card, .tile, h1, h2, .note")]
            .filter((part) => part.getBoundingClientRect().right > innerWidth + 1).map((part) => part.className)"""
    )
    assert outside == []


@pytest.mark.parametrize(("width", "scheme"), [("wide", "light"), ("narrow", "dark")])
def test_the_page_of_votes_is_drawn_in_its_own_units(see: Any, width: str, scheme: str) -> None:
    page = see(width=width, scheme=scheme, path="/?evidence=votes&utm_source=mail", figures=2)
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width]
    assert "strength: log-odds to win a vote against the average item" in page.locator("svg text").all_text_contents()


@pytest.mark.parametrize("looks", [("wide", "dark"), ("narrow", "light")])
@pytest.mark.parametrize("wrong", [("/nope", 404), ("/a/b/nope", 404), ("/?run=zzz", 404), ("/?offset=x", 422)])
def test_an_error_is_a_page_with_our_looks_that_leads_back(
    browser: Browser, servers: dict[str, Serving], looks: tuple[str, Any], wrong: tuple[str, int]
) -> None:
    (width, scheme), (path, status) = looks, wrong
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 700}, color_scheme=scheme)
    page = context.new_page()
    answer = page.goto(servers["good"].url + path)
    assert answer is not None
    assert answer.status == status
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width]
    assert page.evaluate("document.styleSheets[0].cssRules.length") > 20, "the style sheet is found from any path"
    page.get_by_role("link", name="newest ranking").first.click()
    assert page.url.rstrip("?") == servers["good"].url + "/"
    context.close()


def test_the_forest_plot_has_every_item_with_its_interval_and_places(see: Any) -> None:
    page = see()
    drawn = page.locator("[data-figure=forest-spec] svg text").all_text_contents()
    assert {"kite@3.1", "pixel@1", "1", "2–3", "11–12"} <= set(drawn)
    bars = page.locator("[data-figure=forest-spec] svg .mark-rule.role-mark line")
    assert bars.count() == 12 + 1
    widths = [box["width"] for box in (bars.nth(i).bounding_box() for i in range(1, 13)) if box]
    assert max(widths) - min(widths) < 2, "intervals of one width are drawn with one width"
    assert min(widths) > 20


def test_the_figures_follow_the_width_of_the_window(see: Any) -> None:
    page = see()
    svg = page.locator("[data-figure=forest-spec] svg")
    wide = svg.bounding_box()["width"]
    page.set_viewport_size({"width": 500, "height": 900})
    until(lambda: svg.count() == 1 and svg.bounding_box()["width"] < wide - 100)
    assert page.evaluate("document.documentElement.scrollWidth") == 500


def test_the_figures_follow_the_colour_scheme(see: Any) -> None:
    page = see()
    fill = "getComputedStyle(document.querySelector('[data-figure=forest-spec] .role-mark text')).fill"
    light = page.evaluate(fill)
    page.emulate_media(color_scheme="dark")
    until(lambda: page.locator("[data-figure=forest-spec] svg text").count() and page.evaluate(fill) != light)


def test_subjects_and_segments_are_switched_by_links(see: Any) -> None:
    page = see()
    page.get_by_role("link", name="t2v").click()
    page.wait_for_url("**/?task=t2v")
    assert page.locator("h1 bdi").inner_text() == "t2v"
    page.get_by_role("navigation", name="What is ranked").get_by_role("link", name="Templates").click()
    page.wait_for_url("**/?subject=templates")
    assert page.locator("tbody th").first.inner_text().startswith("unboxing@2")


def test_a_prompt_that_is_a_script_is_shown_and_not_run(see: Any) -> None:
    page = see(path="/?subject=prompts", figures=2)
    assert page.title() == "Prompts · Clapometer"
    shown = page.locator("[data-figure=forest-spec] svg text").all_text_contents()
    assert any(text.startswith("<script>") for text in shown)
    assert page.locator("td, th").get_by_text("<script>document.title='owned'</script>{{7*7}}").count() > 0


def test_the_policy_of_the_page_forbids_code_that_is_not_ours(browser: Browser, servers: dict[str, Serving]) -> None:
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(servers["good"].url)
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'ran = 1'}))")
    until(lambda: any("Content Security Policy" in text for text in refused))
    assert page.evaluate("'ran' in window") is False
    page.close()


def test_the_page_can_be_used_without_a_mouse_and_without_eyes(see: Any) -> None:
    page = see()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the ranking"
    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    for figure in page.locator(".figure").all():
        assert figure.get_attribute("aria-label")
    assert page.get_by_role("table").count() >= 4
    assert page.evaluate("document.documentElement.lang") == "en"


CONTRAST = """() => {
  const channel = (value) => (value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || element.closest("svg, .hidden, .skip")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.className || element.tagName} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("server", ["good", "stale"])
def test_all_text_stands_out_from_its_ground(see: Any, server: str, scheme: str) -> None:
    """At least 4.5 : 1, which is level AA of WCAG 2.2."""
    assert see(server, scheme=scheme).evaluate(CONTRAST) == []


def test_without_scripts_the_tables_say_it_all(browser: Browser, servers: dict[str, Serving]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(servers["good"].url)
    assert page.get_by_role("row").filter(has_text="kite@3.1").get_by_text("+0.096 to +0.124").is_visible()
    context.close()
