import numpy as np
import pytest
from scipy.special import expit

from clapometer.ranking import ClipAIPW, ClipCells, ClipTable, PromptFixedEffects
from clapometer.ranking.days.offsets import TimeCells, fit_time_offsets
from clapometer.ranking.days.prior import AGE_EDGES, columns_of

CEILING = 3.0


def cells_of_time(*, n_days=28, per_day=3_000, of_day=None, of_age=None, launches=(0, 0, 0), seed=0, exposure=5.0):
    """Versions that differ and are shown by chance, whose clips come over a week from their launch."""
    random = np.random.default_rng(seed)
    n = n_days * per_day // 10
    prompt = random.integers(0, 200, n)
    version = random.integers(0, len(launches), n)
    born = np.array(launches)[version] + random.integers(0, 7, n)
    day = born + (random.random(n) * (n_days - born)).astype(int)
    keep = day < n_days
    prompt, version, born, day = prompt[keep], version[keep], born[keep], day[keep]
    shift = np.zeros(len(day))
    if of_day is not None:
        shift += of_day(day)
    if of_age is not None:
        shift += of_age(day - born)
    mean = CEILING * expit(-0.7 + 0.1 * version + shift)
    label = random.poisson(exposure * mean).astype(float)
    return TimeCells(prompt, version, version, day, day - born, label, np.full(len(day), exposure))


def fitted(cells, n_days=28):
    return fit_time_offsets(cells, ceiling=CEILING, n_days=n_days)


def test_a_weekly_cycle_is_followed_day_by_day():
    def week(day):
        return 0.3 * np.sin(2 * np.pi * day / 7)

    found = fitted(cells_of_time(of_day=week)).offsets.day
    truth = week(np.arange(28))
    assert np.corrcoef(found, truth)[0, 1] > 0.97
    assert np.ptp(found) == pytest.approx(np.ptp(truth), rel=0.2)


def test_where_nothing_happens_nothing_is_found():
    found = fitted(cells_of_time()).offsets
    assert np.abs(found.day).max() < 0.08
    assert np.abs(found.age).max() < 0.12


def test_novelty_is_told_from_days_where_clips_of_many_ages_were_there():
    def novelty(age):
        return 0.4 * np.exp(-age / 5)

    found = fitted(cells_of_time(of_age=novelty, launches=(0, 5, 10, 15))).offsets.age
    assert (np.diff(found) < 0.06).all()
    assert 0.25 < found[0] < 0.55
    assert found[-1] == 0


def test_what_cannot_be_told_from_the_day_stays_unknown():
    """A version all of whose clips came on the last day: its age is what no data are about."""
    cells = cells_of_time(launches=(0,))
    last = cells_of_time(launches=(27,), seed=1)
    late = last.day == 27
    last = TimeCells(*(column[late] for column in last))
    both = TimeCells(*(np.concatenate(pair) for pair in zip(cells, last, strict=True)))
    known, unknown = fitted(cells), fitted(both._replace(version=np.repeat([0, 1], [len(cells.day), len(last.day)])))
    assert unknown.offsets.day == pytest.approx(known.offsets.day, abs=0.1)
    youngest = len(unknown.columns.time)
    assert unknown.unknown[youngest, youngest] > 0


def test_errors_of_offsets_are_sums_over_prompts():
    """The sandwich over prompts is about what the estimate does over fresh draws."""
    slope = np.zeros((28 + len(AGE_EDGES), 1))
    slope[27] = 1.0
    offsets, errors = [], []
    for seed in range(30):
        fit = fitted(cells_of_time(of_day=lambda day: 0.2 * (day % 7 == 6), seed=seed))
        offsets.append(fit.offsets.day[27])
        errors.append(float((fit.errors_by_prompt(slope) ** 2).sum() + fit.unknown_of(slope)[0, 0]))
    assert 0.5 < np.var(offsets) / np.mean(errors) < 1.6


def test_what_a_day_does_to_one_version_is_a_variance_of_its_own():
    random = np.random.default_rng(5)
    plain = cells_of_time(per_day=20_000)
    shocks = np.exp(random.normal(0, 0.3, (3, 28)))[plain.version, plain.day]
    assert fitted(plain).whim < 0.01
    assert fitted(plain._replace(label=plain.label * shocks)).whim > 0.05


def test_old_days_share_columns_and_new_ones_have_their_own():
    columns = columns_of(np.ones(400))
    assert len(columns.time) == 120
    assert len(set(columns.of_day[-60:].tolist())) == 60
    assert (np.diff(columns.of_day) >= 0).all()
    np.testing.assert_allclose(columns.weekday.sum(1), 1.0)


def test_days_without_traffic_take_no_time():
    busy = np.ones(30)
    busy[5:25] = 0
    columns = columns_of(busy)
    assert len(columns.time) == 10
    np.testing.assert_allclose(np.diff(columns.time), 0.1)


def coin(seed, launch):
    """One version under two names, of which the second came later: ``(effects, errors, without doubt of time)``."""
    random = np.random.default_rng(seed)
    n_prompts, n_days = 200, 14
    clip, day = [], []
    for d in range(n_days):
        there = np.arange(n_prompts if d < launch else 2 * n_prompts)
        clip.append(random.choice(there, 1_500))
        day.append(np.full(1_500, d))
    clip, day = np.concatenate(clip), np.concatenate(day)
    label = (random.random(len(clip)) < 0.15).astype(float)
    born = np.repeat([0, launch], n_prompts)
    slots = np.array([1_500 / (n_prompts if d < launch else 2 * n_prompts) for d in range(n_days)])
    chances = np.array([slots[d:].sum() for d in born])
    ones = np.ones(len(clip))
    cells = ClipCells.from_impressions(
        clip, day, random.integers(0, 2, len(clip)), label=label, examination=ones, weight=ones
    )
    number = np.arange(2 * n_prompts)
    table = ClipTable(number, number // n_prompts, number % n_prompts, born, opportunity=chances)
    scores = ClipAIPW().fit(cells, table)
    X = np.column_stack([table.model[scores.units_], table.prompt[scores.units_]])
    fits = [
        PromptFixedEffects().fit(X, scores.scores_, opportunity=scores.opportunities_, time=time)
        for time in (scores.time_doubt_, None)
    ]
    return fits[0].effects_[0], *(float(np.sqrt(fit.covariance_[0, 0])) for fit in fits)


@pytest.mark.parametrize("launch", [10, 12, 13])
def test_a_version_launched_days_ago_is_not_claimed_to_differ_from_itself(launch):
    effect, error, naive = np.array([coin(seed, launch) for seed in range(30)]).T
    assert (np.abs(effect) > 1.96 * error).mean() <= 0.07
    assert (error > naive).all()


def test_versions_of_one_age_owe_next_to_nothing_to_time():
    _, error, naive = np.array([coin(seed, 0) for seed in range(5)]).T
    np.testing.assert_allclose(error, naive, rtol=0.25)
