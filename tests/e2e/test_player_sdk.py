"""The player SDK in a real browser, with a real clip, against the collector as it runs."""

import datetime as dt
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.unit.collector.conftest import TOKEN_SECRET, Collector
from tests.waiting import until

from clapometer.collector import CollectorConfig
from clapometer.domain import sign_impression
from clapometer.domain.events import ImpressionData

SDK = Path(__file__).parents[2] / "sdk" / "js"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--autoplay-policy=no-user-gesture-required", "--mute-audio"]  # fmt: skip
PAGE = b"<!doctype html><meta charset=utf-8><title>player</title><video muted></video>"
RECORD = """async () => {
  // A clip of two seconds, drawn and recorded here: a real media element with a real clock.
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const paint = setInterval(() => context.fillRect(Math.random() * 200, 0, 20, 90), 40);
  recorder.start();
  await new Promise((done) => setTimeout(done, 2000));
  const stopped = new Promise((done) => (recorder.onstop = done));
  recorder.stop();
  await stopped;
  clearInterval(paint);
  window.video = document.querySelector("video");
  video.src = URL.createObjectURL(new Blob(parts, { type: "video/webm" }));
  await new Promise((done) => (video.oncanplay = done));
}"""


class Site(http.server.SimpleHTTPRequestHandler):
    """Serves the SDK, and a page with a player everywhere else."""

    def do_GET(self) -> None:
        if self.path.endswith(".js"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    handler = functools.partial(Site, directory=str(SDK))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    running = Collector(tmp_path, CollectorConfig())
    yield running
    running.stop()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    opened = browser.new_page()
    opened.goto(site)
    yield opened
    opened.close()


def begin(page: Page, collector: Collector, **options: object) -> None:
    """Makes ``clapometer`` in the page; problems it reports land in ``problems``."""
    given = {
        "url": f"http://127.0.0.1:{collector.port}",
        "key": collector.publishable,
        "viewerId": "v1",
        "flushMs": 50,
        **options,
    }
    page.evaluate(
        """async (options) => {
          const sdk = await import("/clapometer.js");
          window.sdk = sdk;
          window.problems = [];
          window.clapometer = new sdk.Clapometer({ ...options, onProblem: (problem) => problems.push(problem) });
        }""",
        given,
    )


def stored(collector: Collector, kind: str) -> list[dict[str, Any]]:
    events = [msgspec.json.decode(line) for block in collector.blocks() for line in block.events]
    return [event for event in events if event["type"] == f"clapometer.{kind}.v1"]


def test_everything_a_viewer_does_arrives_as_the_events_it_is(page: Page, collector: Collector) -> None:
    begin(page, collector)
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
    one, other = (event["data"] for event in stored(collector, "impression"))
    assert (one["clip_id"], one["viewer_id"], one["position"]) == ("c1", "v1", 0)
    assert one["session_id"] == other["session_id"]
    like, undo, report = (event["data"] for event in stored(collector, "reacted"))
    assert (like["reaction"], undo["undone"], report["reason"]) == ("like", True, "spam")
    assert stored(collector, "converted")[0]["data"]["order_id"] == "o1"
    assert stored(collector, "voted")[0]["data"]["axes"] == {"motion": "tie"}


def test_a_slot_with_its_token_is_trusted(page: Page, collector: Collector) -> None:
    slot = {"impression_id": "i1", "clip_id": "c1", "position": 2, "propensity": 0.25, "candidates": 8}
    slate = {"slate_id": "s1", "policy_id": "ranked", "surface": "feed", "session_id": None, "viewer_id": "v1"}
    data = msgspec.convert({**slot, "viewer_id": "v1"}, ImpressionData)
    expires = int(collector.now.timestamp()) + 600
    token = sign_impression("acme", data, key_id="t1", secret=TOKEN_SECRET, expires=expires)
    begin(page, collector)
    page.evaluate(
        "async ([slot, slate]) => { clapometer.impression(slot, slate); await clapometer.flush(); }",
        [slot | {"token": token, "score": 1.5}, slate],
    )
    (block,) = collector.blocks()
    assert block.header.trust == "token"
    shown = stored(collector, "impression")[0]["data"]
    assert (shown["slate_id"], shown["policy_id"], shown["surface"]) == ("s1", "ranked", "feed")
    assert shown["session_id"]


def test_what_was_played_is_what_is_reported(page: Page, collector: Collector) -> None:
    begin(page, collector)
    page.evaluate(RECORD)
    played = page.evaluate(
        """async () => {
          const shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await video.play();
          await new Promise((done) => video.addEventListener("timeupdate", () => video.currentTime > 0.6 && done()));
          video.pause();
          await new Promise((done) => (video.onpause = done));
          const first = video.currentTime;
          video.currentTime = 1.4;
          await new Promise((done) => (video.onseeked = done));
          await video.play();
          await new Promise((done) => (video.onended = done));
          shown.end("closed");
          await clapometer.flush();
          return [first, video.currentTime];
        }"""
    )
    last = stored(collector, "watched")[-1]["data"]
    (start, stop), (again, end) = last["played_segments"]
    assert start < 100
    assert stop == pytest.approx(played[0] * 1000, abs=60)
    assert again == pytest.approx(1400, abs=60)
    assert end == pytest.approx(played[1] * 1000, abs=60)
    assert last["total_ms"] == last["muted_ms"] == pytest.approx(stop - start + end - again, abs=5)
    assert last["max_position_ms"] == end
    assert [event["data"]["end_reason"] for event in stored(collector, "watched")] == ["ended", "closed"]


def test_a_clip_that_loops_is_counted_once_as_unique_and_every_time_in_total(page: Page, collector: Collector) -> None:
    begin(page, collector)
    page.evaluate(RECORD)
    page.evaluate(
        """async () => {
          video.currentTime = 1e9;  // recorded clips learn their duration by a seek to the end
          await new Promise((done) => (video.onseeked = done));
          video.currentTime = 0;
          await new Promise((done) => (video.onseeked = done));
          video.loop = true;
          const shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          let starts = 0;
          await video.play();
          await new Promise((done) => (video.onseeked = () => ++starts === 2 && done()));
          shown.end("skipped");
          await clapometer.flush();
        }"""
    )
    duration = page.evaluate("video.duration * 1000")
    last = stored(collector, "watched")[-1]["data"]
    assert last["loops"] == 2
    assert sum(end - start for start, end in last["played_segments"]) == pytest.approx(duration, rel=0.1)
    assert last["total_ms"] == pytest.approx(2 * duration, rel=0.1)


def test_a_viewer_who_comes_back_adds_to_what_was_watched(page: Page, collector: Collector) -> None:
    begin(page, collector)
    page.evaluate(RECORD)
    page.evaluate(
        """async () => {
          const until = (time) => new Promise((done) =>
            video.addEventListener("timeupdate", () => video.currentTime > time && done()));
          const shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await video.play();
          await until(0.5);
          shown.end("skipped");
          shown.end("skipped");
          shown.watch(video);
          await until(1.2);
          shown.end("closed");
          await clapometer.flush();
        }"""
    )
    first, last = (event["data"] for event in stored(collector, "watched"))
    assert last["total_ms"] >= first["total_ms"] + 400
    assert last["max_position_ms"] >= 1000
    assert (first["end_reason"], last["end_reason"]) == ("skipped", "closed")


def test_a_jump_is_not_taken_for_playing_even_when_its_event_comes_late(page: Page, collector: Collector) -> None:
    begin(page, collector)
    page.evaluate(RECORD)
    first = page.evaluate(
        """async () => {
          const shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await video.play();
          await new Promise((done) => video.addEventListener("timeupdate", () => video.currentTime > 0.3 && done()));
          const first = video.currentTime;
          video.pause();
          video.currentTime = first + 1.0;
          await new Promise((done) => (video.onseeked = done));
          shown.end("skipped");
          await clapometer.flush();
          return first;
        }"""
    )
    last = stored(collector, "watched")[-1]["data"]
    assert sum(end - start for start, end in last["played_segments"]) <= first * 1000 + 60


def test_heartbeats_come_while_it_plays_and_only_then(page: Page, collector: Collector) -> None:
    begin(page, collector, heartbeatMs=200)
    page.evaluate(RECORD)
    page.evaluate(
        "() => { window.shown = clapometer.impression({ clip_id: 'c1' }).watch(video); return video.play(); }"
    )
    until(lambda: len(stored(collector, "watched")) >= 3)
    page.evaluate("() => video.pause()")
    until(lambda: page.evaluate("clapometer.pending") == 0)
    grown = [
        sum(end - start for start, end in event["data"]["played_segments"]) for event in stored(collector, "watched")
    ]
    assert grown == sorted(grown)
    page.evaluate("() => new Promise((done) => setTimeout(done, 500))")
    beats = len(stored(collector, "watched"))
    page.evaluate("() => new Promise((done) => setTimeout(done, 500))")
    assert len(stored(collector, "watched")) == beats


def test_what_is_queued_when_the_page_goes_arrives_as_a_beacon(page: Page, collector: Collector, site: str) -> None:
    begin(page, collector, flushMs=3_600_000, heartbeatMs=3_600_000)
    page.evaluate(RECORD)
    page.evaluate(
        """async () => {
          const shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await video.play();
          await new Promise((done) => video.addEventListener("timeupdate", () => video.currentTime > 0.3 && done()));
          shown.react("save");
        }"""
    )
    assert collector.blocks() == []
    page.goto(f"{site}/elsewhere")
    until(lambda: stored(collector, "watched"))
    assert len(stored(collector, "impression")) == len(stored(collector, "reacted")) == 1
    watched = stored(collector, "watched")[0]["data"]
    assert watched["end_reason"] == "navigated"
    assert watched["played_segments"][-1][1] > 250


def test_more_than_one_beacon_can_hold_is_split(page: Page, collector: Collector) -> None:
    begin(page, collector, flushMs=3_600_000, maxBatch=10_000)
    page.evaluate(
        "() => { for (let i = 0; i < 140; i++) clapometer.impression({ clip_id: `c${i}`.padEnd(180, 'x') }); }"
    )
    page.evaluate("() => clapometer.close()")
    left = page.evaluate("clapometer.pending")
    until(lambda: len(collector.stored_ids()) == 140 - left)
    assert collector.stored_ids()
    assert len(collector.stored_ids()) == len(set(collector.stored_ids()))


def test_events_whose_answer_was_lost_go_again_with_the_same_ids(page: Page, collector: Collector) -> None:
    answers = ["drop", "busy"]

    def flaky(route: Any) -> None:
        answer = answers.pop(0) if answers else "pass"
        if answer == "pass":
            route.continue_()
        elif answer == "busy":
            route.fulfill(status=503, headers={"retry-after": "0", "access-control-allow-origin": "*"})
        else:
            route.fetch()  # the collector takes it; the page never hears of it
            route.abort()

    begin(page, collector)
    page.route("**/v1/events", flaky)
    page.evaluate("() => { clapometer.impression({ clip_id: 'c1' }).react('like'); }")
    until(lambda: page.evaluate("clapometer.pending") == 0, seconds=20)
    ids = collector.stored_ids()
    assert len(ids) == 4
    assert len(set(ids)) == 2
    assert page.evaluate("problems") == []


def test_a_bad_event_costs_no_other_and_its_page_is_told(page: Page, collector: Collector) -> None:
    begin(page, collector)
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


def test_a_key_that_is_refused_is_told_and_does_not_loop(page: Page, collector: Collector) -> None:
    begin(page, collector, key="cpk_nobody_knows")
    page.evaluate("async () => { clapometer.impression({ clip_id: 'c1' }); await clapometer.flush(); }")
    assert page.evaluate("clapometer.pending") == 0
    (problem,) = page.evaluate("problems")
    assert "key" in problem["reason"]


def test_a_full_queue_drops_the_oldest_and_says_so(page: Page, collector: Collector) -> None:
    begin(page, collector, url="http://127.0.0.1:9", maxQueue=5)
    page.evaluate("() => { for (let i = 0; i < 8; i++) clapometer.impression({ clip_id: `c${i}` }); }")
    assert page.evaluate("clapometer.pending") == 5
    assert page.evaluate("problems.flatMap((problem) => problem.events.map((event) => event.data.clip_id))") == [
        "c0", "c1", "c2",
    ]  # fmt: skip


@pytest.mark.parametrize("options", [{"key": "csk_1_2"}, {"key": ""}, {"url": None}, {"viewerId": ""}])
def test_options_that_cannot_work_are_refused_at_once(page: Page, options: dict[str, object]) -> None:
    told = page.evaluate(
        """async (options) => {
          const { Clapometer } = await import("/clapometer.js");
          try { new Clapometer({ url: "http://h", key: "cpk_1_2", viewerId: "v", ...options }); return null; }
          catch (error) { return error.message; }
        }""",
        options,
    )
    assert next(iter(options)) in told or "secret" in told


def test_ids_are_uuids_of_version_7_in_the_order_of_their_time(page: Page) -> None:
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
def test_segments_are_merged_in_any_order(page: Page, plays: list[Any], segments: list[Any], unique: int) -> None:
    assert page.evaluate(
        """async (plays) => {
          const { PlayedSegments } = await import("/clapometer.js");
          const played = new PlayedSegments();
          for (const [start, end] of plays) played.add(start, end);
          return [played.list(), played.unique];
        }""",
        plays,
    ) == [segments, unique]
