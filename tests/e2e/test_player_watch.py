"""What the player SDK says was watched is what was watched, to a tenth of a second, in Chromium and in Firefox."""

import random
from typing import Any

import pytest
from tests.e2e.players import Way, begin, load, stored
from tests.unit.collector.conftest import Collector

NEAR_MS = 100


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
    """Fails where a report is not the truth."""
    segments = [ends for ends in watched["played_segments"] if ends[1] - ends[0] > 1]
    assert len(segments) == len(truth["segments"]), (watched, truth)
    for segment, right in zip(segments, truth["segments"], strict=True):
        assert segment == pytest.approx(right, abs=NEAR_MS), (watched, truth)
    for name in ("total_ms", "muted_ms", "paused_ms", "max_position_ms"):
        assert watched[name] == pytest.approx(truth[name], abs=NEAR_MS), (name, watched, truth)
    assert watched["loops"] == truth["loops"]


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
        for (const to of [2, 0.4, 1.2, 2.6, 0.1, 1.8, 0.9]) { await truth.pass(90); await truth.seek(to); }
        await truth.pass(60);""",
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
    "a loop": "video.loop = true; await truth.seek(1.5); await truth.play(); await truth.looped(2); await truth.until(0.4);",
    "a fast loop": "video.loop = true; truth.rate(4); await truth.play(); await truth.looped(3); await truth.until(1);",
    "sound that comes and goes": """
        video.muted = false; await truth.play(); await truth.until(0.5); truth.mute(true); await truth.until(1.1);
        truth.mute(false); await truth.until(1.4); truth.pause(); truth.mute(true); await truth.pass(200);""",
    "a page that hangs": """
        await truth.play(); await truth.until(0.5);
        const hang = (end) => { while (performance.now() < end); };
        hang(performance.now() + 400); await truth.until(1.2); truth.pause(); hang(performance.now() + 300);
        await truth.seek(0.2);""",
    "a page that hangs as it seeks": """
        await truth.play(); await truth.until(0.5); truth.pause();
        await Promise.all([truth.seek(2), (() => { const end = performance.now() + 400; while (performance.now() < end); })()]);
        await truth.play(); await truth.until(2.3);""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_was_played_is_what_is_reported(page: Any, way: Way, collector: Collector, name: str) -> None:
    begin(page, way)
    check(*told(page, collector, SCRIPTS[name]))
