"""Label rules fitted to what a lake holds: votes, viewers who come back, purchases."""

import random
from pathlib import Path

import pytest
from tests.support.event_rows import Row, answer, at, clip, impression, vote
from tests.support.lakes import clock, lake_of, traffic

from clapometer.domain import InputError
from clapometer.labels import DEFAULT_RULE, FittedRule, decode_rule
from clapometer.lake.lock import TrainingLockedError, no_training
from clapometer.lake.tables import Lake
from clapometer.training.label_rules.fit import AnchorOptions, fit_rule

FEW = AnchorOptions(min_impressions=3, strength=5.0)


def votes(n: int, prompts: int = 40, seed: int = 0) -> list[Row]:
    """People prefer the later model version, which viewers like more, four times in five."""
    rng = random.Random(seed)
    rows = []
    for k in range(n):
        prompt, (low, high) = rng.randrange(prompts), sorted(rng.sample(range(3), 2))
        left, right = (low, high) if rng.random() < 0.5 else (high, low)
        better = "left" if left > right else "right"
        worse = "right" if better == "left" else "left"
        result = better if rng.random() < 0.8 else worse
        rows += vote(f"v{k}", (f"c{prompt}-{left}", f"c{prompt}-{right}"), result, f"voter {k}")
    return rows


def fitted(lake: Lake, anchor: str, options: AnchorOptions = FEW) -> FittedRule:
    return fit_rule(lake, anchor, as_of=clock(), options=options, threads=1)  # type: ignore[arg-type]


def test_votes_of_the_lake_are_fitted_and_counted(tmp_path: Path) -> None:
    found = fitted(lake_of(tmp_path, [*traffic(prompts=40, shown=12), *votes(300)]), "votes")
    assert found.rule.anchor == f"{found.n} votes" == "300 votes"
    assert found.rule.weights.like > 0.5
    assert found.log_loss < found.log_loss_constant - 0.1
    assert 0.5 < found.slope < 1.6
    assert found.rule.id == "default-fitted@2"


def test_while_viewers_are_erased_nothing_is_folded(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [*traffic(prompts=40, shown=12), *votes(300)])
    with no_training(lake), pytest.raises(TrainingLockedError, match="was not started"):
        fitted(lake, "votes")
    assert lake.version("outcomes") == 0
    fitted(lake, "votes")
    with no_training(lake):  # and the right to it is given back
        assert lake.version("outcomes") > 0


def test_votes_on_clips_that_hardly_anybody_saw_are_refused_with_what_to_do(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [*traffic(prompts=40, shown=2), *votes(60)])
    with pytest.raises(InputError, match=r"100 impressions each \(at most \d+\).*lower --min-impressions"):
        fitted(lake, "votes", AnchorOptions(min_impressions=100))


def test_too_few_votes_and_none_are_refused(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [*traffic(prompts=40), *votes(20)])
    with pytest.raises(InputError, match="20 rows; fewer than 50"):
        fitted(lake, "votes")
    with pytest.raises(InputError, match="0 rows; fewer than 50"):
        fitted(lake_of(tmp_path / "other", traffic()), "votes")


@pytest.mark.parametrize("anchor", ["votes", "retention", "purchases"])
def test_a_lake_without_an_impression_that_counts_is_refused_with_the_reasons(anchor: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none was received"):
        fitted(Lake(tmp_path / "empty"), anchor)
    forged = [one | {"trust": "forged"} if one["type"] == "impression" else one for one in traffic(prompts=2)]
    with pytest.raises(InputError, match=r"24 untrusted impression"):
        fitted(lake_of(tmp_path / "forged", forged), anchor)


def visits(days: int = 12, viewers: int = 150) -> list[Row]:
    """Viewers who liked something are mostly there again the next day, the others mostly are not."""
    rng = random.Random(3)
    rows = [clip(f"c{k}", f"p{k % 5}", f"m{k % 2}", at(days=-1)) for k in range(10)]
    here = dict.fromkeys(range(viewers), True)
    for day in range(days):
        for viewer in [v for v, there in here.items() if there]:
            liked = rng.random() < 0.4
            about = f"i{day}-{viewer}"
            time = at(days=day, seconds=viewer)
            rows.append(impression(about, f"c{rng.randrange(10)}", time, viewer_id=f"v{viewer}", surface="feed"))
            rows.append(answer("watched", about, f"w{about}", time, watched_ms=rng.randrange(9_999)))
            if liked:
                rows.append(answer("reacted", about, f"r{about}", time, reaction="like"))
            here[viewer] = rng.random() < (0.9 if liked else 0.4)
        for viewer in here:
            here[viewer] |= rng.random() < 0.1
    return rows


def test_who_comes_back_is_an_anchor_and_the_last_day_is_not_counted_against_anybody(tmp_path: Path) -> None:
    rows = visits()
    found = fitted(lake_of(tmp_path, rows), "retention")
    last = max(one["time"].date() for one in rows if one["type"] == "impression")
    counted = sum(one["type"] == "impression" and one["time"].date() < last for one in rows)
    assert (found.n, found.rule.anchor) == (counted, f"{counted} viewer-days, retention")
    assert found.rule.weights.like > 3 * abs(found.rule.weights.watch)
    assert found.log_loss < found.log_loss_constant - 0.05
    assert found.slope == pytest.approx(1.0, abs=0.25)


def test_purchases_are_an_anchor_even_where_they_have_no_weight(tmp_path: Path) -> None:
    rows = visits()
    liked = {one["impression_id"] for one in rows if one["type"] == "reacted"}
    rng = random.Random(1)
    for one in [r for r in rows if r["type"] == "impression"]:
        about = one["impression_id"]
        if rng.random() < (0.3 if about in liked else 0.05):
            rows.append(answer("converted", about, f"b{about}", one["time"], kind="purchase"))
    rule = decode_rule("name = 'mine'\nversion = 3\n[weights]\npurchase = 0\nadd_to_cart = 0.7")
    found = fit_rule(lake_of(tmp_path, rows), "purchases", rule, as_of=clock(), options=FEW)
    assert found.rule.weights.like > abs(found.rule.weights.watch)
    assert (found.rule.weights.purchase, found.rule.weights.add_to_cart) == (0, 0.7)
    assert found.rule.id == "mine-fitted@4"
    assert found.rule.anchor.endswith("impressions, purchases")


def test_an_anchor_that_never_or_always_happens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="every row says the same"):
        fitted(lake_of(tmp_path, visits(days=5)), "purchases")


def test_the_fit_starts_from_the_rule_that_it_is_given(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [*traffic(prompts=40, shown=12), *votes(60)])
    strong = fitted(lake, "votes", AnchorOptions(min_impressions=3, strength=1e7)).rule.weights
    ratio = strong.save / DEFAULT_RULE.weights.save
    assert strong.like / DEFAULT_RULE.weights.like == pytest.approx(ratio, rel=1e-3)
