"""Screening: fake accounts are found, alone or in crowds, and people are left alone."""

import datetime as dt

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.support.viewer_sums import viewer_sums

from clapometer.domain import InputError
from clapometer.labels import ScreeningReason, ViewerSums, rows_seen_often, screen_viewers
from clapometer.simulation import EngagementLog, WorldConfig, build_world, simulate_log

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def outcomes(log: EngagementLog) -> pa.Table:
    """The columns of outcomes that screening reads."""
    microseconds = (log.day * 86_400 + log.second) * 1_000_000 + int(START.timestamp() * 1e6)
    never = np.zeros(len(log), bool)
    return pa.table(
        {
            "viewer_id": log.viewer, "clip_id": log.clip.astype(str), "watched_ms": log.watched_ms.astype(int),
            "total_ms": log.watched_ms.astype(int), "liked": log.like, "saved": log.save, "shared": log.share,
            "commented": never, "followed": never, "shown_at": pa.array(microseconds, pa.timestamp("us", tz="UTC")),
        }
    )  # fmt: skip


def summed(rows: pa.Table) -> tuple[np.ndarray, ViewerSums]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("o", rows)
        viewers, sums = viewer_sums(connection, "o")
    return np.array(viewers), sums


def plain(n: int = 50) -> dict[str, np.ndarray]:
    """People: a hundred impressions each, ten likes, none blind, different clips."""
    rng = np.random.default_rng(0)
    columns = {"impressions": 100, "reactions": 10, "blind": 0, "hours": 12, "days": 6, "clips": 10}
    drawn = {"signature": rng.integers(0, 2**60, (n, 8)), "catalogue": 1_000}
    return {name: np.full(n, value) for name, value in columns.items()} | drawn


def reasons(**changes: int) -> list[ScreeningReason | None]:
    columns = plain()
    for name, value in changes.items():
        columns[name][0] = value
    return screen_viewers(ViewerSums(**columns))


def test_columns_of_the_wrong_shape_are_named() -> None:
    columns = plain(3)
    with pytest.raises(InputError, match="signature"):
        ViewerSums(**(columns | {"signature": np.zeros(3, int)}))
    with pytest.raises(InputError, match="hours"):
        ViewerSums(**(columns | {"hours": np.zeros(2, int)}))


def test_nobody_is_screened_where_there_is_nobody() -> None:
    assert screen_viewers(ViewerSums(**plain(0))) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"blind": 9}, ScreeningReason.BLIND),
        ({"blind": 1}, None),
        ({"reactions": 2, "blind": 2}, None),
        ({"reactions": 96}, ScreeningReason.EVERYTHING),
        ({"impressions": 10, "reactions": 10}, None),
        ({"hours": 135}, ScreeningReason.ROUND_THE_CLOCK),
        ({"hours": 24, "days": 1}, None),
        ({"impressions": 50_000}, ScreeningReason.RATE),
    ],
)
def test_each_limit_screens_the_one_who_passes_it_and_nobody_else(
    changes: dict[str, int], reason: ScreeningReason | None
) -> None:
    found = reasons(**changes)
    assert found[0] == reason
    assert set(found[1:]) == {None}


def test_the_most_eager_of_many_people_is_a_person_and_somebody_beyond_them_is_not() -> None:
    rng = np.random.default_rng(3)
    columns = plain(20_000)
    columns["reactions"] = rng.binomial(100, rng.beta(3.0, 4.0, 20_000))
    assert (columns["reactions"] >= 90).sum() > 2
    assert set(screen_viewers(ViewerSums(**columns))) == {None}
    columns["impressions"][0] = columns["reactions"][0] = 400
    found = screen_viewers(ViewerSums(**columns))
    assert found[0] == ScreeningReason.EVERYTHING
    assert set(found[1:]) == {None}


def test_where_all_react_to_everything_nobody_stands_out() -> None:
    columns = plain(30) | {"reactions": np.full(30, 100)}
    assert set(screen_viewers(ViewerSums(**columns))) == {None}


def test_three_accounts_with_the_same_reactions_are_a_group_and_two_are_not() -> None:
    columns = plain()
    columns["signature"][:3] = 7
    columns["signature"][10:12] = 9
    found = screen_viewers(ViewerSums(**columns))
    assert found[:3] == [ScreeningReason.LOCKSTEP] * 3
    assert set(found[3:]) == {None}


@pytest.mark.parametrize(("clips", "catalogue"), [(3, 1_000), (10, 12), (10, 39)])
def test_few_clips_or_a_small_catalogue_make_no_lockstep(clips: int, catalogue: int) -> None:
    columns = plain() | {"catalogue": catalogue}
    columns["signature"][:] = 7
    columns["clips"][:] = clips
    assert set(screen_viewers(ViewerSums(**columns))) == {None}


@pytest.mark.parametrize(("n_clips", "chance"), [(3, 0.5), (12, 0.9), (12, 0.4)])
def test_people_of_a_world_with_few_clips_are_no_group(n_clips: int, chance: float) -> None:
    rng = np.random.default_rng(n_clips)
    n = 300 * 60
    clip = np.tile(np.arange(n_clips), n // n_clips)
    liked = rng.random(n) < chance * 2 * rng.beta(4, 4, n_clips)[clip]
    never = np.zeros(n, bool)
    rows = pa.table(
        {
            "viewer_id": np.repeat(np.arange(300), 60), "clip_id": clip.astype(str),
            "watched_ms": np.full(n, 5_000), "total_ms": np.full(n, 5_000), "liked": liked, "saved": never,
            "shared": never, "commented": never, "followed": never,
            "shown_at": pa.array(np.full(n, int(START.timestamp() * 1e6)), pa.timestamp("us", tz="UTC")),
        }
    )  # fmt: skip
    assert ScreeningReason.LOCKSTEP not in screen_viewers(summed(rows)[1])


@pytest.mark.parametrize("bots", [1, 10, 200])
def test_fake_accounts_of_the_simulator_are_found_and_people_are_not(bots: int) -> None:
    size = 6_000 if bots == 1 else 15_000
    config = WorldConfig(n_prompts=600, n_sessions=size, n_viewers=4_000, bots=bots)
    hits = screened = fakes = 0
    for seed in range(6 if bots == 1 else 2):
        log = simulate_log(build_world(config, seed), seed)
        viewers, sums = summed(outcomes(log))
        found = np.array([reason is not None for reason in screen_viewers(sums)])
        fake = np.isin(viewers, np.unique(log.viewer[log.bot]))
        hits, screened, fakes = hits + int((found & fake).sum()), screened + int(found.sum()), fakes + int(fake.sum())
    assert hits >= 0.9 * fakes
    assert hits >= 0.95 * screened


def test_accounts_that_watch_before_they_like_are_found_by_liking_the_same_clips() -> None:
    config = WorldConfig(n_prompts=500, n_sessions=8_000, n_viewers=2_000, bots=0)
    log = simulate_log(build_world(config, 3), 4)
    rows = outcomes(log)
    watched = np.flatnonzero(log.watched_ms > 4_000)
    _, of_each_clip = np.unique(log.clip[watched], return_index=True)
    ring = rows.take(np.tile(watched[of_each_clip[:30]], 12))
    ring = ring.set_column(0, "viewer_id", pa.array(np.repeat(np.arange(50_000, 50_012), 30)))
    ring = ring.set_column(4, "liked", pa.array(np.tile(np.arange(30) < 20, 12)))
    for column, name in ((5, "saved"), (6, "shared")):
        ring = ring.set_column(column, name, pa.array(np.zeros(360, bool)))
    viewers, sums = summed(pa.concat_tables([rows, ring]))
    found = {int(v): reason for v, reason in zip(viewers, screen_viewers(sums), strict=True) if reason}
    assert found == dict.fromkeys(range(50_000, 50_012), ScreeningReason.LOCKSTEP)


def test_where_no_watching_is_reported_nobody_is_blind() -> None:
    rows = outcomes(
        simulate_log(build_world(WorldConfig(n_prompts=300, n_sessions=2_000, n_viewers=500, bots=2), 1), 1)
    )
    missing = pa.nulls(len(rows), pa.int64())
    rows = rows.set_column(2, "watched_ms", missing).set_column(3, "total_ms", missing)
    assert ScreeningReason.BLIND not in screen_viewers(summed(rows)[1])


def test_rows_that_are_there_often_enough_are_found_and_single_ones_are_not() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2], [2, 1], [1, 2], [3, 4]])
    assert rows_seen_often(rows, 3).tolist() == [True, False, True, False, True, False]
    assert rows_seen_often(rows, 2).tolist() == [True, True, True, False, True, True]
    assert rows_seen_often(rows, 1).all()
    assert not rows_seen_often(rows, 7).any()
    assert rows_seen_often(rows[:0], 3).tolist() == []
