"""Pages that go: what was not acknowledged arrives by a beacon or from the next page, in Chromium and in Firefox."""

from typing import Any

import pytest
from starlette.responses import Response
from tests.e2e.players import Serving, Way, begin, load, near, stored
from tests.support.waiting import until
from tests.unit.collector.conftest import Collector

NEVER = {"flushMs": 3_600_000, "heartbeatMs": 3_600_000}
BUSY = Response(status_code=503, headers={"access-control-allow-origin": "*"})
SHOW = "() => { for (let i = 0; i < %d; i++) clapometer.impression({ clip_id: `c${i}` }); }"


def close_the_collector(way: Way) -> None:
    way.obstacle = lambda passed: BUSY if passed.method == "POST" else None


def open_the_collector(way: Way) -> None:
    way.obstacle = lambda _: None


def beaconed(way: Way) -> list[dict[str, Any]]:
    return [event for passed in way.beacons() for event in passed.events]


def play_a_while(page: Any) -> dict[str, Any]:
    """Plays half a second, and returns the truth about it."""
    load(page)
    page.evaluate(
        """async () => {
          window.shown = clapometer.impression({ clip_id: "last" }).watch(video);
          await truth.play(); await truth.until(0.5); truth.pause();
        }"""
    )
    return dict(page.evaluate("truth.tell()"))


def last_word(tab: Any, page: Any, way: Way, collector: Collector) -> None:
    """Closes a tab, and waits for what it has to say, at the latest by another page."""
    tab.close()
    kept = "Object.values(localStorage).join()"
    until(lambda: stored(collector, "watched") or "total_ms" in page.evaluate(kept))  # closing may outlast `close`
    begin(page, way)  # Firefox sends not every beacon of a tab that is closed, and tells some only that they are hidden
    until(lambda: stored(collector, "watched"))


def test_what_is_queued_when_the_page_goes_arrives_as_a_beacon(
    page: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    begin(page, way, **NEVER)
    truth = play_a_while(page)
    page.evaluate("() => shown.react('save')")
    assert collector.blocks() == []
    page.goto(f"{shop.address}/page/two")
    until(lambda: stored(collector, "watched"))
    assert len(stored(collector, "impression")) == len(stored(collector, "reacted")) == 1
    (watched,) = stored(collector, "watched")
    assert watched["end_reason"] == "navigated"
    assert watched["total_ms"] == pytest.approx(truth["total_ms"], abs=near(truth))


def test_the_last_word_of_a_closed_tab_arrives_at_the_latest_with_the_next_page(
    page: Any, browser: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    tab = browser.new_page()
    tab.goto(f"{shop.address}/page/two")
    begin(tab, way, **NEVER)
    truth = play_a_while(tab)
    last_word(tab, page, way, collector)
    assert stored(collector, "watched")[-1]["end_reason"] in ("heartbeat", "navigated")
    assert stored(collector, "watched")[-1]["total_ms"] == pytest.approx(truth["total_ms"], abs=near(truth))


def test_a_tab_that_is_closed_before_anything_played_says_so(
    page: Any, browser: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    tab = browser.new_page()
    tab.goto(f"{shop.address}/page/two")
    begin(tab, way, **NEVER)
    load(tab)
    tab.evaluate("() => { clapometer.impression({ clip_id: 'unseen' }).watch(video); }")
    last_word(tab, page, way, collector)
    assert {report["total_ms"] for report in stored(collector, "watched")} == {0}
    assert len(stored(collector, "impression")) == 1


def test_a_tab_that_is_hidden_again_and_again_says_once_that_nothing_was_played(
    page: Any, way: Way, collector: Collector
) -> None:
    begin(page, way, **NEVER)
    load(page)
    page.evaluate(
        """async () => {
          clapometer.impression({ clip_id: "c1" }).watch(video);
          for (const state of ["hidden", "visible", "hidden", "visible"]) {
            Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
            document.dispatchEvent(new Event("visibilitychange"));
          }
          await clapometer.flush();
        }"""
    )
    (report,) = stored(collector, "watched")
    assert (report["end_reason"], report["total_ms"]) == ("heartbeat", 0)


def test_of_401_events_that_nobody_took_the_latest_report_goes_first_and_none_is_lost(
    page: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    close_the_collector(way)
    begin(page, way)
    page.evaluate(SHOW % 200)
    page.evaluate("() => { for (let i = 0; i < 199; i++) clapometer.vote(`a${i}`, `b${i}`, 'tie'); }")
    truth = play_a_while(page)
    page.evaluate("() => clapometer.flush()")
    assert page.evaluate("clapometer.pending") == 400
    page.goto(f"{shop.address}/page/two")
    until(way.beacons)
    first = beaconed(way)[0]
    assert first["type"] == "clapometer.watched.v1"
    assert first["data"]["end_reason"] == "navigated"
    sizes = [len(passed.body) for passed in way.beacons()]
    assert 65_536 - 1000 < sum(sizes) <= 65_536
    open_the_collector(way)
    begin(page, way)
    until(lambda: page.evaluate("clapometer.pending") == 0)
    assert len(set(collector.stored_ids())) == 401
    (watched,) = stored(collector, "watched")
    assert watched["total_ms"] == pytest.approx(truth["total_ms"], abs=near(truth))
    assert page.evaluate("[problems, localStorage.length]") == [[], 0]


def test_a_page_closed_in_the_middle_of_a_request_loses_nothing(
    page: Any, browser: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    tab = browser.new_page()
    tab.goto(f"{shop.address}/page/one")
    begin(tab, way)
    way.returning = lambda passed: BUSY if passed in way.requests() else None  # it is taken, and nobody hears of it
    tab.evaluate(SHOW % 20)
    until(way.requests)
    tab.close()
    until(lambda: len(set(collector.stored_ids())) == 20)


def test_other_beacons_of_the_page_take_their_part_and_the_most_important_still_goes(
    page: Any, browser: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    begin(page, way, **NEVER)
    page.evaluate(SHOW % 300)
    play_a_while(page)
    page.evaluate(
        """(address) => {
          const body = new Blob(["x".repeat(50000)], { type: "text/plain" });
          addEventListener("pagehide", () => navigator.sendBeacon(address, body), { capture: true });
        }""",
        f"{way.serving.address}/healthz",
    )
    page.goto(f"{shop.address}/page/two")
    until(lambda: stored(collector, "watched"))
    begin(page, way)
    until(lambda: len(set(collector.stored_ids())) == 302)


def test_a_page_that_comes_back_from_the_cache_goes_on(
    page: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    begin(page, way, **NEVER)
    load(page)
    page.evaluate(
        """async () => {
          addEventListener("pageshow", ({ persisted }) => (window.persisted = persisted));
          window.shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await truth.play(); await truth.until(0.5); truth.pause();
        }"""
    )
    page.goto(f"{shop.address}/page/two")
    until(lambda: stored(collector, "watched"))
    page.go_back(wait_until="commit")
    until(lambda: page.evaluate("window.persisted ?? null"))
    truth = page.evaluate(
        """async () => {
          await truth.play(); await truth.until(1); truth.pause();
          const told = truth.tell();
          shown.react("like");
          shown.end("skipped");
          await clapometer.flush();
          return told;
        }"""
    )
    assert page.evaluate("[clapometer.pending, problems]") == [0, []]
    gone, last = stored(collector, "watched")
    assert (gone["end_reason"], last["end_reason"]) == ("navigated", "skipped")
    assert last["total_ms"] == pytest.approx(truth["total_ms"], abs=near(truth))
    assert last["played_segments"] == [pytest.approx(ends, abs=near(truth)) for ends in truth["segments"]]
    assert len(stored(collector, "reacted")) == len(stored(collector, "impression")) == 1


def test_a_tab_that_is_hidden_says_where_it_is_and_goes_on(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way, **NEVER)
    load(page)
    page.evaluate(
        """async () => {
          window.shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await truth.play(); await truth.until(0.5);
          Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    until(lambda: stored(collector, "watched"))
    truth = page.evaluate(
        """async () => {
          delete document.visibilityState;
          document.dispatchEvent(new Event("visibilitychange"));
          await truth.until(1.2); truth.pause();
          const told = truth.tell();
          shown.end("skipped");
          await clapometer.flush();
          return told;
        }"""
    )
    hidden, last = stored(collector, "watched")
    assert (hidden["end_reason"], last["end_reason"]) == ("heartbeat", "skipped")
    assert last["total_ms"] == pytest.approx(truth["total_ms"], abs=near(truth))


def test_two_tabs_lose_nothing_and_store_nothing_twice(
    page: Any, browser: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    close_the_collector(way)
    begin(page, way)
    page.evaluate(SHOW % 40)
    until(lambda: page.evaluate("localStorage.length") == 1)
    other = browser.new_page()
    other.goto(f"{shop.address}/page/two")
    begin(other, way)
    assert other.evaluate("clapometer.pending") == 40
    other.evaluate(SHOW % 7)
    page.evaluate("() => { clapometer.impression({ clip_id: 'late' }); }")
    until(lambda: "late" in page.evaluate("Object.values(localStorage).join()"))
    open_the_collector(way)
    for tab in (page, other):
        until(lambda tab=tab: tab.evaluate("clapometer.pending") == 0)
    other.close()
    shown = stored(collector, "impression")
    assert len(shown) == len({impression["impression_id"] for impression in shown}) == 48
    assert page.evaluate("localStorage.length") == 0


def test_a_tab_that_goes_on_keeps_what_another_tab_has_not_seen(
    page: Any, browser: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    close_the_collector(way)
    begin(page, way, **NEVER)
    page.evaluate("async () => { clapometer.impression({ clip_id: 'seen' }); await clapometer.flush(); }")
    other = browser.new_page()
    other.goto(f"{shop.address}/page/two")
    begin(other, way)
    page.evaluate("() => { clapometer.impression({ clip_id: 'unseen' }); dispatchEvent(new Event('pagehide')); }")
    open_the_collector(way)
    until(lambda: other.evaluate("clapometer.pending") == 0)
    assert "unseen" in other.evaluate("Object.values(localStorage).join()")
    other.close()


def test_what_waits_is_bounded_and_what_was_dropped_is_told(
    page: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    close_the_collector(way)
    begin(page, way, maxStored=50_000)
    page.evaluate(SHOW % 400)
    until(lambda: page.evaluate("localStorage.length") == 1)
    page.goto(f"{shop.address}/page/two")
    entry = page.evaluate("localStorage[localStorage.key(0)]")
    assert 45_000 < len(entry) <= 50_000
    open_the_collector(way)
    begin(page, way, maxStored=50_000)
    until(lambda: page.evaluate("clapometer.pending") == 0)
    (problem,) = page.evaluate("problems")
    assert "there was no room" in problem["reason"]
    kept = {shown["clip_id"] for shown in stored(collector, "impression")}
    assert "c399" in kept
    assert "c0" not in kept
    assert problem["reason"].startswith(f"{400 - len(kept)} events")


@pytest.mark.parametrize(
    "denied",
    [
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }",
        "Object.defineProperty(window, 'localStorage', { value: null })",
    ],
)
def test_a_browser_that_keeps_nothing_still_sends_and_leaves(
    page: Any, way: Way, collector: Collector, shop: Serving, denied: str
) -> None:
    page.evaluate(f"() => {{ {denied} }}")
    begin(page, way, **NEVER)
    page.evaluate("async () => { clapometer.impression({ clip_id: 'c1' }); await clapometer.flush(); }")
    assert len(collector.stored_ids()) == 1
    page.evaluate("() => { clapometer.impression({ clip_id: 'c2' }); }")
    page.goto(f"{shop.address}/page/two")
    until(lambda: len(collector.stored_ids()) == 2)


def test_what_neither_waits_nor_goes_is_told(page: Any, way: Way) -> None:
    close_the_collector(way)
    begin(page, way, storage=None, **NEVER)
    page.evaluate(SHOW % 400)
    page.evaluate("() => { clapometer.close(); }")
    (problem,) = page.evaluate("problems")
    until(way.beacons)
    assert len(problem["events"]) == 400 - len(beaconed(way))
    assert "dropped" in problem["reason"]
    assert "c399" not in {event["data"]["clip_id"] for event in problem["events"]}


def test_what_is_in_storage_is_not_trusted(page: Any, way: Way, collector: Collector) -> None:
    page.evaluate(
        """([url, key]) => {
          const put = (n, text) => localStorage.setItem(`clapometer ${url} ${key} ${n}`, text);
          put("a", "no JSON"); put("b", "null"); put("c", '{"events":[1,{"id":"x"}],"lost":0}');
          localStorage.setItem(`clapometer ${url} cpk_other d`, '{"events":[],"lost":0}');
          localStorage.setItem("the page's own", "stays");
        }""",
        [way.serving.address, way.key],
    )
    begin(page, way)
    page.evaluate("async () => { clapometer.impression({ clip_id: 'c1' }); await clapometer.flush(); }")
    assert len(collector.stored_ids()) == 1
    assert sorted(page.evaluate("Object.keys(localStorage)")) == [
        f"clapometer {way.serving.address} cpk_other d", "the page's own",
    ]  # fmt: skip


def test_what_nobody_took_for_a_week_is_given_up_and_told(page: Any, way: Way, collector: Collector) -> None:
    close_the_collector(way)
    begin(page, way)
    page.evaluate("async () => { clapometer.impression({ clip_id: 'c1' }); await clapometer.flush(); }")
    page.evaluate("() => { const real = Date.now; Date.now = () => real() + 7 * 86_400_000; }")
    until(lambda: page.evaluate("clapometer.pending") == 0)
    (problem,) = page.evaluate("problems")
    assert problem["events"][0]["data"]["clip_id"] == "c1"
    assert page.evaluate("localStorage.length") == 0
