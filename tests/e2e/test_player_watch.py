"""What the player SDK says was watched is what was watched, to a tenth of a second, in Chromium and in Firefox."""

import random
from typing import Any

import pytest
from tests.e2e.players import Way, begin, load, near, stored
from tests.unit.collector.conftest import Collector


def told(page: Any, collector: Collector, script: str, clip: str = "clip.webm") -> tuple[dict[str, Any], Any]:
    """Returns the last `watched` of a script that plays ``video`` by ``truth``, and the truth."""
    load(page, clip)
    truth = page.evaluate(
        f"""async () => {{
          window.shown = clapometer.impression({{ clip_id: "c1" }}).watch(video);
          {script}
          const truth_ = truth.tell();
          shown.end("closed");
          await clapometer.flush();
          return truth_;
        }}"""
    )
    assert page.evaluate("[clapometer.pending, problems]") == [0, []]
    return stored(collector, "watched")[-1], truth


def check(watched: dict[str, Any], truth: dict[str, Any]) -> None:
    """Fails where a report is further from the truth than `near`."""
    both, away = (watched, truth), near(truth)
    found, right = watched["played_segments"], truth["segments"]
    assert lies_in(found, right, away), both
    assert lies_in(right, found, away), both
    assert length(found) == pytest.approx(length(right), abs=away), both
    for name in ("total_ms", "muted_ms", "paused_ms", "max_position_ms"):
        assert watched[name] == pytest.approx(truth[name], abs=away), (name, *both)
    assert watched["loops"] == truth["loops"]


def lies_in(inner: list[list[float]], outer: list[list[float]], away: float) -> bool:
    """Returns whether all that is in the first segments is in the others too, or less than ``away`` from them."""
    wide: list[list[float]] = []
    for start, end in sorted(outer):
        if wide and start - away <= wide[-1][1]:
            wide[-1][1] = max(wide[-1][1], end + away)
        else:
            wide.append([start - away, end + away])
    long = [(start, end) for start, end in inner if end - start > away]
    return all(any(first <= start and end <= last for first, last in wide) for start, end in long)


def length(segments: list[list[float]]) -> float:
    return sum(end - start for start, end in segments)


SCRIPTS = {
    "plays, pauses and plays on elsewhere": """
        await truth.play(); await truth.until(0.6); truth.pause(); await truth.pass(300); await truth.seek(1.4);
        await truth.play(); await truth.until(2);""",
    "to the end": "await truth.play(); await truth.ended();",
    "to the end, and left open": "await truth.seek(2); await truth.play(); await truth.ended(); await truth.pass(500);",
    "to the end and again": """
        await truth.seek(2.5); await truth.play(); await truth.ended(); await truth.pass(200);
        await truth.play(); await truth.until(0.4);""",
    "faster than 2x": """
        truth.rate(4); await truth.play(); await truth.until(2); truth.rate(1); await truth.until(2.4);""",
    "speeds that change": """
        await truth.play(); await truth.until(0.3); truth.rate(8); await truth.until(1.5); truth.rate(0.5);
        await truth.until(1.7); truth.rate(2.5); await truth.until(2.5); truth.rate(1);""",
    "scrubbing": """
        await truth.play();
        for (const to of [2, 0.4, 1.2, 2.6, 0.1, 1.8, 0.9]) { await truth.pass(180); await truth.seek(to); }
        await truth.pass(180);""",
    "scrubbing over what was seen": """
        truth.rate(4); await truth.play(); await truth.until(2.6); truth.rate(1);
        for (let i = 0; i < 12; i++) { await truth.seek(0.2 + i / 6); await truth.pass(80); }""",
    "small steps while it is paused": """
        await truth.play(); await truth.until(0.3); truth.pause();
        for (let i = 0; i < 10; i++) await truth.seek(video.currentTime + 0.04);
        await truth.play(); await truth.until(1.2);""",
    "pause and seek in one breath": """
        await truth.play(); await truth.until(0.5); truth.pause(); await truth.seek(2); await truth.play();
        await truth.until(2.2); truth.pause(); await truth.seek(1);""",
    "a loop": """
        video.loop = true; await truth.seek(1.5); await truth.play(); await truth.looped(2); await truth.until(0.4);""",
    "a fast loop": "video.loop = true; truth.rate(4); await truth.play(); await truth.looped(3); await truth.until(1);",
    "sound that comes and goes": """
        video.muted = false; await truth.play(); await truth.until(0.5); truth.mute(true); await truth.until(1.1);
        truth.mute(false); await truth.until(1.4); truth.pause(); truth.mute(true); await truth.pass(200);""",
    "a page that hangs": """
        await truth.play(); await truth.until(0.5);
        truth.hang(400); await truth.until(1.2); truth.pause(); truth.hang(300);
        await truth.seek(0.2);""",
    "a page that hangs as it seeks": """
        await truth.play(); await truth.until(0.5); truth.pause();
        const arrived = truth.seek(2);
        truth.hang(400);
        await arrived; await truth.play(); await truth.until(2.3);""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_was_played_is_what_is_reported(page: Any, way: Way, collector: Collector, name: str) -> None:
    begin(page, way)
    check(*told(page, collector, SCRIPTS[name]))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_viewer_does_is_reported(page: Any, way: Way, collector: Collector, seed: int) -> None:
    random.seed(seed)
    steps = ["await truth.play();"]
    for _ in range(10):
        steps.append(random.choice([
            f"await truth.seek({random.uniform(0, 10):.2f});",
            f"truth.rate({random.choice([0.5, 1, 1.5, 3, 4])});",
            f"truth.mute({random.choice(['true', 'false'])});",
            f"if (!video.paused) truth.pause(); await truth.pass({random.randint(20, 200)}); await truth.play();",
        ]))  # fmt: skip
        steps.append(f"await truth.pass({random.randint(100, 500)});")
    begin(page, way)
    check(*told(page, collector, "\n".join(steps), "long.webm"))


def test_an_mp4_is_told_as_a_webm_is(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    check(*told(page, collector, SCRIPTS["plays, pauses and plays on elsewhere"], "other.mp4"))


def test_a_viewer_who_comes_back_adds_to_what_was_watched(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    watched, truth = told(
        page,
        collector,
        """await truth.play(); await truth.until(0.5); truth.pause(); await truth.pass(150);
        shown.end("skipped"); shown.end("skipped"); shown.watch(video);
        await truth.play(); await truth.until(1.2);""",
    )
    check(watched, truth)
    assert [report["end_reason"] for report in stored(collector, "watched")] == ["skipped", "closed"]


@pytest.mark.parametrize("order", ["watch, then clip", "clip, then watch", "clip alone"])
def test_an_element_that_is_given_another_clip_is_not_counted_for_the_first(
    page: Any, way: Way, collector: Collector, order: str
) -> None:
    swap = {
        "watch, then clip": "next.watch(video); video.src = '/clips/other.mp4';",
        "clip, then watch": "video.src = '/clips/other.mp4'; next.watch(video);",
        "clip alone": "video.src = '/clips/other.mp4';",
    }[order]
    begin(page, way)
    load(page)
    first, second = page.evaluate(
        f"""async () => {{
          const shown = clapometer.impression({{ clip_id: "c1" }}).watch(video);
          const next = clapometer.impression({{ clip_id: "c2" }});
          await truth.play(); await truth.until(0.7); truth.leave();
          const first = truth.tell();
          const ready = new Promise((done) => video.addEventListener("canplaythrough", done, {{ once: true }}));
          {swap}
          await ready;
          window.truth = new Truth(video);
          await truth.play(); await truth.until(1.1); truth.pause();
          const second = truth.tell();
          next.end("skipped"); shown.end("skipped");
          await clapometer.flush();
          return [first, second];
        }}"""
    )
    impressions = {shown["clip_id"]: shown["impression_id"] for shown in stored(collector, "impression")}
    last = {report["impression_id"]: report for report in stored(collector, "watched")}
    check({**last[impressions["c1"]], "paused_ms": 0}, {**first, "paused_ms": 0})
    assert last[impressions["c1"]]["end_reason"] == "skipped"
    if "watch" in order:
        check({**last[impressions["c2"]], "paused_ms": 0}, {**second, "paused_ms": 0})
    else:
        assert impressions["c2"] not in last


def test_the_same_clip_loaded_again_goes_on(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    watched, truth = told(
        page,
        collector,
        """await truth.play(); await truth.until(0.5); truth.leave();
        const ready = new Promise((done) => video.addEventListener("canplaythrough", done, { once: true }));
        video.load(); await ready;
        await truth.seek(2); await truth.play(); await truth.until(2.6);""",
    )
    (first, second) = watched["played_segments"]
    assert first == pytest.approx([0, 500], abs=near(truth))
    assert second == pytest.approx([2000, 2600], abs=near(truth))


def test_heartbeats_come_while_it_plays_and_only_then(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way, heartbeatMs=200)
    load(page)
    page.evaluate(
        """async () => {
          window.shown = clapometer.impression({ clip_id: "c1" }).watch(video);
          await truth.play(); await truth.until(2.6); truth.pause();
          await truth.when(() => clapometer.pending === 0);
        }"""
    )
    grown = [report["total_ms"] for report in stored(collector, "watched")]
    assert len(grown) >= 3
    assert grown == sorted(grown)
    page.evaluate("async () => { await truth.pass(250); await truth.when(() => clapometer.pending === 0); }")
    beats = len(stored(collector, "watched"))
    page.evaluate("async () => { await truth.pass(600); await truth.when(() => clapometer.pending === 0); }")
    assert len(stored(collector, "watched")) == beats


def test_numbers_beyond_what_an_event_may_say_do_not_cost_the_event(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    watched, truth = told(
        page,
        collector,
        """
        await truth.play(); await truth.until(0.3); truth.pause();
        const real = performance.now.bind(performance);
        performance.now = () => real() + 30 * 3_600_000; truth.hang(0);
        await truth.pass(0);""",
    )
    assert watched["paused_ms"] == 24 * 3_600_000
    assert watched["total_ms"] == pytest.approx(truth["total_ms"], abs=near(truth))


def test_a_clip_that_ended_and_is_left_open_stays_ended(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    load(page)
    truth = page.evaluate(
        """async () => {
          clapometer.impression({ clip_id: "c1" }).watch(video);
          await truth.seek(2.6); await truth.play(); await truth.ended(); await truth.pass(400);
          await truth.when(() => clapometer.pending === 0);
          clapometer.close();
          return truth.tell();
        }"""
    )
    (report,) = stored(collector, "watched")
    assert report["end_reason"] == "ended"
    assert report["paused_ms"] < near(truth)


def test_a_clock_that_is_set_changes_no_duration_and_no_order(page: Any, way: Way, collector: Collector) -> None:
    begin(page, way)
    script = """await truth.play(); await truth.until(0.4); shown.react("like");
        const real = Date.now; Date.now = () => real() - 3_600_000; shown.undo("like");
        await truth.until(0.8); truth.pause(); await truth.pass(120); Date.now = () => real() + 3_600_000;"""
    check(*told(page, collector, script))
    times = [event["time"] for passed in way.requests() for event in passed.events]
    assert times == sorted(times)
