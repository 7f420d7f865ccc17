"""The player SDK in Chromium and Firefox: what is sent, and what becomes of what is refused."""

import datetime as dt
from typing import Any

import msgspec
import pytest
from starlette.responses import Response
from tests.e2e.players import LOST, Serving, Way, begin, load, stored
from tests.support.waiting import until
from tests.unit.collector.conftest import TOKEN_SECRET, Collector

from clapometer.domain import sign_impression
from clapometer.domain.events import ImpressionData

BUSY = Response(status_code=503, headers={"retry-after": "0", "access-control-allow-origin": "*"})


def test_everything_a_viewer_does_arrives_as_the_events_it_is(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    page.evaluate(
        """async () => {
          const one = clapometer.impression({ clip_id: "c1", position: 0 });
          const other = clapometer.impression({ clip_id: "c2", position: 1, surface: null });
          one.react("like"); one.undo("like"); other.react("report", { reason: "spam" });
          one.convert("purchase", { value: 9.5, currency: "EUR", order_id: "o1" });
          clapometer.vote(one, other, "left", { motion: "tie" });
          await clapometer.flush();
        }"""
    )
    assert page.evaluate("[clapometer.pending, problems]") == [0, []]
    one, other = stored(collector, "impression")
    assert (one["clip_id"], one["viewer_id"], one["position"]) == ("c1", "v1", 0)
    assert one["session_id"] == other["session_id"]
    like, undo, report = stored(collector, "reacted")
    assert (like["reaction"], undo["undone"], report["reason"]) == ("like", True, "spam")
    assert stored(collector, "converted")[0]["order_id"] == "o1"
    assert stored(collector, "voted")[0]["axes"] == {"motion": "tie"}


def test_a_slot_with_its_token_is_trusted(page: Any, way: Way, collector: Collector) -> None:
    slot = {"impression_id": "i1", "clip_id": "c1", "position": 2, "propensity": 0.25, "candidates": 8}
    arms = [{"id": "layout", "variant": "wide"}]
    asked = {"surface": "feed", "experiment": arms, "session_id": "s-9", "viewer_id": "v1"}
    slate = {"slate_id": "s1", "policy_id": "ranked", **asked}
    data = msgspec.convert({**slot, **asked}, ImpressionData)
    expires = int(collector.now.timestamp()) + 600
    token = sign_impression("acme", data, key_id="t1", secret=TOKEN_SECRET, issued=expires - 600, expires=expires)
    begin(page, way)
    page.evaluate(
        """async ([slot, slate]) => {
          clapometer.impression(slot, slate).react("like");
          await clapometer.flush();
        }""",
        [slot | {"token": token, "score": 1.5}, slate],
    )
    (block,) = collector.blocks()
    assert (block.header.trust, block.header.exceptions, len(block.events)) == ("token", {}, 2)
    (shown,) = stored(collector, "impression")
    assert (shown["slate_id"], shown["policy_id"], shown["surface"]) == ("s1", "ranked", "feed")
    assert (shown["session_id"], shown["experiment"]) == ("s-9", arms)


def test_a_thousand_quick_swipes_all_arrive(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    load(page)
    page.evaluate(
        """async () => {
          await truth.play();
          for (let i = 0; i < 1000; i++) {
            clapometer.impression({ clip_id: `c${i}` }).watch(video);
            if (i % 100 === 0) await truth.pass(20);
          }
          clapometer.close();
          while (clapometer.pending) await clapometer.flush();
        }"""
    )
    assert page.evaluate("problems") == []
    shown = [impression["impression_id"] for impression in stored(collector, "impression")]
    watched = {report["impression_id"]: report for report in stored(collector, "watched")}
    assert len(shown) == len(watched) == 1000
    assert set(shown) == set(watched)
    assert sum(report["total_ms"] for report in watched.values()) < 3100


def test_events_whose_answer_was_lost_go_again_with_the_same_ids(page: Any, way: Way, collector: Collector) -> None:
    answers = [LOST, BUSY]
    way.returning = lambda passed: answers.pop(0) if answers and passed.method == "POST" else None
    begin(page, way)
    page.evaluate("() => { clapometer.impression({ clip_id: 'c1' }).react('like'); }")
    until(lambda: page.evaluate("clapometer.pending") == 0)
    ids = collector.stored_ids()
    assert len(ids) == 6
    assert len(set(ids)) == 2
    assert page.evaluate("problems") == []


def test_a_bad_event_costs_no_other_and_its_page_is_told(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    page.evaluate(
        """async () => {
          const shown = clapometer.impression({ clip_id: "c1" });
          shown.react("adore");
          shown.react("like");
          await clapometer.flush();
        }"""
    )
    assert page.evaluate("clapometer.pending") == 0
    (problem,) = page.evaluate("problems")
    assert "data.reaction" in problem["reason"]
    assert problem["events"][0]["data"]["reaction"] == "adore"
    assert len(collector.stored_ids()) == 2


def test_an_event_that_cannot_be_written_costs_its_caller_an_error_and_no_other_event(
    page: Any, way: Way, collector: Collector
) -> None:
    begin(page, way)
    told = page.evaluate(
        """async () => {
          const shown = clapometer.impression({ clip_id: "c1" });
          let told = "nothing";
          try { shown.convert("purchase", { value: 10n }); } catch (error) { told = error.name; }
          await clapometer.flush();
          return told;
        }"""
    )
    assert told == "TypeError"
    assert len(collector.stored_ids()) == 1


def test_a_page_whose_own_handler_fails_goes_on_sending(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    page.evaluate(
        """async () => {
          clapometer.options.onProblem = () => { throw new Error("the page's own"); };
          clapometer.impression({ clip_id: "c1" }).react("adore");
          await clapometer.flush();
          clapometer.impression({ clip_id: "c2" });
          await clapometer.flush();
        }"""
    )
    assert [shown["clip_id"] for shown in stored(collector, "impression")] == ["c1", "c2"]


def test_a_key_that_is_refused_is_told_and_does_not_loop(page: Any, way: Way) -> None:
    begin(page, way, key="cpk_nobody_knows")
    page.evaluate("async () => { clapometer.impression({ clip_id: 'c1' }); await clapometer.flush(); }")
    assert page.evaluate("clapometer.pending") == 0
    (problem,) = page.evaluate("problems")
    assert "key" in problem["reason"]


def refuse_preflights(way: Way) -> None:
    """What a proxy does that knows nothing of a page's tracer."""
    way.obstacle = lambda passed: Response(status_code=403) if passed.method == "OPTIONS" else None


@pytest.mark.parametrize("why", ["a proxy", "a header of a tracer", "an origin"])
def test_a_refused_preflight_is_told_once_with_what_to_do_and_is_not_tried_for_ever(
    page: Any, way: Way, shop: Serving, why: str
) -> None:
    refusal = {
        "a proxy": Response(status_code=403),
        "a header of a tracer": Response(status_code=204, headers={
            "access-control-allow-origin": "*", "access-control-allow-headers": "authorization, content-type",
        }),
        "an origin": Response(status_code=204),
    }[why]  # fmt: skip
    way.obstacle = lambda passed: refusal if passed.method == "OPTIONS" else None
    begin(page, way, flushMs=10)
    if why == "a header of a tracer":
        page.evaluate(
            """() => {
              const plain = window.fetch;
              window.fetch = (url, given) => plain(url, { ...given, headers: { ...given.headers, tracestate: "a=1" } });
            }"""
        )
    page.evaluate("() => { clapometer.impression({ clip_id: 'c1' }).react('like'); }")
    until(lambda: page.evaluate("problems.length") == 1)
    (problem,) = page.evaluate("problems")
    assert shop.address in problem["reason"]
    assert way.serving.address in problem["reason"]
    for word in ("cors_origins", "OPTIONS", "tracestate"):
        assert word in problem["reason"]
    tries = len(way.passed)
    page.evaluate(
        """async () => {
          for (let i = 0; i < 500; i++) { clapometer.impression({ clip_id: `d${i}` }); await clapometer.flush(); }
          dispatchEvent(new Event("online"));
          document.dispatchEvent(new Event("visibilitychange"));
          await clapometer.flush();
        }"""
    )
    assert len(way.passed) == tries
    assert len(page.evaluate("problems")) == 1
    assert page.evaluate("clapometer.pending") == 502
    # ten minutes later, and so on: a few tries, and then none
    page.evaluate(
        """async () => {
          const real = performance.now.bind(performance);
          let later = 0;
          performance.now = () => real() + later;
          for (let i = 0; i < 12; i++) { later += 601_000; await clapometer.flush(); }
        }"""
    )
    asked = [passed for passed in way.passed if passed.path == "/v1/events"]
    assert len(asked) == 3 + 6
    assert len(page.evaluate("problems")) == 1


def test_what_a_refused_page_did_arrives_when_the_next_one_is_allowed(
    page: Any, way: Way, collector: Collector, shop: Serving
) -> None:
    refuse_preflights(way)
    begin(page, way)
    page.evaluate("() => { for (let i = 0; i < 300; i++) clapometer.impression({ clip_id: `c${i}` }); }")
    until(lambda: page.evaluate("problems.length") == 1)
    page.goto(f"{shop.address}/page/two")
    way.obstacle = lambda _: None
    begin(page, way)
    until(lambda: len(stored(collector, "impression")) == 300)
    until(lambda: page.evaluate("clapometer.pending") == 0)
    assert page.evaluate("[problems, localStorage.length]") == [[], 0]


def test_headers_that_a_tracer_adds_are_sent_where_they_are_allowed(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    page.evaluate(
        """async () => {
          const plain = window.fetch;
          const added = {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", tracestate: "vendor=1",
            "x-datadog-trace-id": "1",
          };
          window.fetch = (url, given) => plain(url, { ...given, headers: { ...given.headers, ...added } });
          clapometer.impression({ clip_id: "c1" });
          await clapometer.flush();
        }"""
    )
    assert len(collector.stored_ids()) == 1
    assert {"traceparent", "tracestate", "x-datadog-trace-id"} <= set(way.requests()[0].headers)


def test_a_collector_that_is_away_is_told_once_and_gets_everything_when_it_is_back(
    page: Any, way: Way, collector: Collector
) -> None:
    begin(page, way)
    way.serving.stop()
    page.evaluate("() => { for (let i = 0; i < 150; i++) clapometer.impression({ clip_id: `c${i}` }); }")
    until(lambda: page.evaluate("problems.length") == 1)
    assert "does not answer" in page.evaluate("problems")[0]["reason"]
    way.serving.start()
    page.evaluate("() => { dispatchEvent(new Event('online')); }")
    until(lambda: page.evaluate("clapometer.pending") == 0)
    assert len(stored(collector, "impression")) == 150
    assert page.evaluate("[problems.length, localStorage.length]") == [1, 0]


def test_what_a_collector_asks_to_wait_is_waited_even_when_the_page_comes_into_sight(page: Any, way: Way) -> None:
    asked = Response(status_code=503, headers={
        "retry-after": "3600", "access-control-allow-origin": "*", "access-control-expose-headers": "retry-after",
    })  # fmt: skip
    way.obstacle = lambda passed: asked if passed.method == "POST" else None
    begin(page, way)
    page.evaluate(
        """async () => {
          clapometer.impression({ clip_id: "c1" });
          await clapometer.flush();
          dispatchEvent(new Event("online"));
          document.dispatchEvent(new Event("visibilitychange"));
          await clapometer.flush();
        }"""
    )
    assert len(way.requests()) == 1


def test_a_full_queue_drops_the_oldest_and_says_so(page: Any, way: Way) -> None:
    begin(page, way, maxQueue=5, flushMs=3_600_000)
    page.evaluate("() => { for (let i = 0; i < 8; i++) clapometer.impression({ clip_id: `c${i}` }); }")
    assert page.evaluate("clapometer.pending") == 5
    assert page.evaluate("problems.flatMap((problem) => problem.events.map((event) => event.data.clip_id))") == [
        "c0", "c1", "c2",
    ]  # fmt: skip


def test_a_report_takes_the_place_of_the_heartbeat_before_it(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way, flushMs=3_600_000)
    load(page)
    page.evaluate(
        """async () => {
          const shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await truth.play();
          for (const position of [0.2, 0.4, 0.6]) { await truth.until(position); shown.report(); }
          shown.end("skipped");
          await clapometer.flush();
        }"""
    )
    (report,) = stored(collector, "watched")
    assert report["end_reason"] == "skipped"


@pytest.mark.parametrize("options", [{"key": "csk_1_2"}, {"key": ""}, {"url": None}, {"viewerId": ""}])
def test_options_that_cannot_work_are_refused_at_once(page: Any, options: dict[str, object]) -> None:
    told = page.evaluate(
        """async (options) => {
          const { Clapometer } = await import("/clapometer.js");
          try { new Clapometer({ url: "http://h", key: "cpk_1_2", viewerId: "v", ...options }); return null; }
          catch (error) { return error.message; }
        }""",
        options,
    )
    assert next(iter(options)) in told or "secret" in told


def test_ids_are_uuids_of_version_7_in_the_order_of_their_time(page: Any) -> None:
    made = page.evaluate(
        """async () => {
          const { uuidv7 } = await import("/clapometer.js");
          return [uuidv7(0), uuidv7(1767225600123), uuidv7(2 ** 48 - 1), uuidv7(), uuidv7()];
        }"""
    )
    assert all(id_[14] == "7" and id_[19] in "89ab" and len(id_) == 36 for id_ in made)
    assert int(made[1].replace("-", "")[:12], 16) == 1767225600123
    stamp = dt.datetime.fromtimestamp(int(made[3].replace("-", "")[:12], 16) / 1000, dt.UTC)
    assert abs((dt.datetime.now(dt.UTC) - stamp).total_seconds()) < 60
    assert made[3] != made[4]


@pytest.mark.parametrize(
    ("plays", "segments", "unique"),
    [
        ([], [], 0),
        ([[0, 5], [10, 15]], [[0, 5], [10, 15]], 10),
        ([[10, 15], [0, 5], [5, 10]], [[0, 15]], 15),
        ([[0, 10], [2, 4], [8, 12]], [[0, 12]], 12),
        ([[5, 5], [7, 3], [-1, 2]], [], 0),
        ([[0, 1], [2, 3], [0, 9]], [[0, 9]], 9),
    ],
)
def test_segments_are_merged_in_any_order(page: Any, plays: list[Any], segments: list[Any], unique: int) -> None:
    assert page.evaluate(
        """async (plays) => {
          const { PlayedSegments } = await import("/clapometer.js");
          const played = new PlayedSegments();
          for (const [start, end] of plays) played.add(start, end);
          return [played.list(), played.unique];
        }""",
        plays,
    ) == [segments, unique]
