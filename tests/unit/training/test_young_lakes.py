"""A young platform gets "not enough evidence", never a failed run: whatever its few impressions look like."""

import random
from pathlib import Path

import pytest
from tests.support.event_rows import Row, answer, at, clip, impression, row
from tests.support.lakes import clock, lake_of

from clapometer.audit.audit import AuditOptions, audit
from clapometer.training.train import train_once

pytestmark = pytest.mark.filterwarnings("error")


def two_clips(groups: list[tuple[float, int, bool, int]], **values: object) -> list[Row]:
    """Two clips of one prompt; groups are a day, a number of impressions, liked or not, and a watch time."""
    rows = [clip(f"c{k}", "p1", f"m{k}", at(days=-10)) for k in range(2)]
    for g, (day, count, liked, watched) in enumerate(groups):
        for n in range(count):
            about, time = f"i{g}-{n}", at(days=day, seconds=n)
            rows.append(impression(about, f"c{n % 2}", time, **values))
            rows.append(answer("watched", about, f"w{about}", time, watched_ms=watched))
            if liked:
                rows.append(answer("reacted", about, f"l{about}", time, reaction="like"))
    return rows


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(two_clips([(-7, 2, True, 10_000), (0, 40, False, 500)]), id="liked a week ago, skipped today"),
        pytest.param(two_clips([(-7, 1, True, 0), (0, 20, False, 0)]), id="one like a week ago"),
        pytest.param(two_clips([(0, 30, True, 10_000)]), id="all liked"),
        pytest.param(two_clips([(0, 30, False, 0)]), id="none liked, none watched"),
        pytest.param(two_clips([(0, 1, True, 10_000)]), id="one impression"),
        pytest.param(two_clips([(-3, 50, False, 9_000), (0, 50, True, 9_000)], viewer_id="one"), id="one viewer"),
        pytest.param(
            two_clips([(-9, 60, False, 0), (0, 60, True, 9_000)], propensity=0.5, candidates=2, explored=True),
            id="explored, and told apart by the day",
        ),
    ],
)
def test_a_young_lake_is_trained_and_claims_nothing(tmp_path: Path, rows: list[Row]) -> None:
    lake = lake_of(tmp_path, rows)
    run = train_once(lake, clock=clock).run
    assert run.status == "succeeded", run.error
    with lake.connect() as con:
        said = con.execute("SELECT DISTINCT verdict FROM rankings_current WHERE subject = 'model_versions'").fetchall()
    assert said == [("not enough evidence",)]


def odd_lake(seed: int) -> list[Row]:
    """Up to 120 impressions of up to 8 clips, of which most things are the same or missing, at random."""
    rng = random.Random(seed)
    n_clips, viewers, days = rng.choice([1, 2, 5, 8]), rng.choice([1, 2, 50]), rng.choice([1, 2, 8, 40])
    n_items, likes, watches = rng.choice([1, 2]), rng.choice(["no", "yes", "old", "new", "one"]), rng.choice([0, 1, 2])
    logged = rng.random() < 0.7
    rows = [
        clip(f"c{k}", f"p{k % rng.choice([1, 3])}", f"m{k % n_items}", at(days=rng.choice([-10, 0, 5])),
             duration_ms=rng.choice([1, 10_000, 86_400_000]), template_id=rng.choice(["t1", None]))
        for k in range(n_clips)
    ]  # fmt: skip
    for i in range(rng.choice([1, 2, 5, 20, 50, 120])):
        day, of = -rng.randrange(days), rng.randrange(n_clips)
        time, about = at(days=day, seconds=i), f"i{i}"
        chance = {"propensity": rng.choice([1 / n_clips, 1.0, 1e-9]), "candidates": n_clips} if logged else {}
        rows.append(
            impression(about, f"c{of}", time, viewer_id=f"v{i % viewers}", explored=logged and rng.random() < 0.9,
                       position=rng.choice([None, 0, 10_000]), surface=rng.choice(["feed", None]), **chance)
        )  # fmt: skip
        if watches:
            rows.append(answer("watched", about, f"w{i}", time, watched_ms=(watches - 1) * rng.randrange(20_000)))
        if {"no": False, "yes": True, "old": day < 0, "new": day == 0, "one": of == 0}[likes]:
            rows.append(answer("reacted", about, f"l{i}", time, reaction="like"))
        else:
            rows.append(answer("reacted", about, f"d{i}", time, reaction=rng.choice(["dislike", "report"])))
        if i and rng.random() < 0.3:
            sides = {"left_impression_id": f"i{i - 1}", "right_impression_id": about}
            rows.append(row("voted", f"v{i}", time, result=rng.choice(["left", "right", "tie", "both_bad"]), **sides))
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_no_small_lake_fails_or_warns(tmp_path: Path, seed: int) -> None:
    lake = lake_of(tmp_path, odd_lake(seed))
    run = train_once(lake, clock=clock).run
    assert run.status == "succeeded", run.error
    assert audit(lake, AuditOptions(repeats=2)).findings


@pytest.mark.parametrize(("prompts", "models"), [(1, 3), (2, 4)])
def test_nobody_in_a_tiny_catalogue_is_taken_for_a_group_of_accounts(tmp_path: Path, prompts: int, models: int) -> None:
    rng, clips = random.Random(prompts), [(p, m) for p in range(prompts) for m in range(models)]
    rows = [clip(f"c{p}-{m}", f"p{p}", f"m{m}", at(days=-1)) for p, m in clips]
    for n in range(1_200):
        p, m = rng.choice(clips)
        time, chance = at(days=n % 6, seconds=n), {"propensity": 1 / len(clips), "candidates": len(clips)}
        rows.append(impression(f"i{n}", f"c{p}-{m}", time, viewer_id=f"v{n % 60}", explored=True, **chance))
        rows.append(answer("watched", f"i{n}", f"w{n}", time, watched_ms=rng.randrange(3_000, 10_000)))
        if rng.random() < 0.4 + 0.1 * m:
            rows.append(answer("reacted", f"i{n}", f"l{n}", time, reaction="like"))
    run = train_once(lake_of(tmp_path, rows), clock=clock).run
    assert (run.status, run.excluded) == ("succeeded", {})
