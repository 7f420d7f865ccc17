"""Positions that leap, as a busy Firefox shows them: a scripted element tells the SDK what such a browser tells it."""

from typing import Any

import pytest

ELEMENT = """
class Element extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { currentTime: 0, duration: 10, playbackRate: 4, paused: true, seeking: false, readyState: 4,
      muted: true, volume: 1, loop: false, currentSrc: "clip", ranges: [] });
  }
  get played() {
    const { ranges } = this;
    return { length: ranges.length, start: (i) => ranges[i][0], end: (i) => ranges[i][1] };
  }
  tell(name, after, state) {
    now += after;
    Object.assign(this, state);
    this.dispatchEvent(Object.defineProperty(new Event(name), "timeStamp", { value: now }));
  }
}
let now = 100;
performance.now = () => now;
const { Watch } = await import("/watch.js");
const video = new Element();
const watch = new Watch(video, () => {});
"""
PLAYED_TO_ONE = (
    'video.tell("playing", 0, { paused: false }); video.tell("timeupdate", 250, { currentTime: 1, ranges });'
)


def segments(page: Any, script: str) -> list[list[int]]:
    found: list[list[int]] = page.evaluate(f"async () => {{ {ELEMENT} {script} return watch.data('i', 'closed'); }}")[
        "played_segments"
    ]
    return found


@pytest.mark.parametrize("event", ["seeking", "emptied", "pause"])
def test_what_the_browser_played_before_a_seek_is_told_also_where_its_position_had_leapt(page: Any, event: str) -> None:
    """50 ms at 4x are 0.2 s of the clip; the browser says that it played a quarter of a second more."""
    sought = "seeking: true, currentTime: 3" if event == "seeking" else "readyState: 0, currentTime: 0"
    after = "paused: true, currentTime: 1.45" if event == "pause" else sought
    script = f"""const ranges = [[0, 1]]; {PLAYED_TO_ONE}
        video.tell("{event}", 50, {{ {after}, ranges: [[0, 1.45]] }});"""
    ((start, end),) = segments(page, script)
    assert start == 0
    assert end == pytest.approx(1450, abs=100)


def test_what_was_played_ahead_before_is_no_leap(page: Any) -> None:
    """The viewer saw 1.1 to 2 s before: that the browser's range goes on to 2 s says nothing of this time."""
    script = f"""const ranges = [[0, 1], [1.1, 2]]; {PLAYED_TO_ONE}
        video.tell("seeking", 50, {{ seeking: true, currentTime: 3, ranges: [[0, 2]] }});"""
    ((start, end),) = segments(page, script)
    assert (start, end) == (0, pytest.approx(1200, abs=20))


def test_a_leap_beyond_what_a_busy_browser_does_is_a_jump(page: Any) -> None:
    script = f"""const ranges = [[0, 1]]; {PLAYED_TO_ONE}
        video.tell("seeking", 50, {{ seeking: true, currentTime: 8, ranges: [[0, 5]] }});"""
    ((start, end),) = segments(page, script)
    assert (start, end) == (0, pytest.approx(1200 + 300, abs=20))
