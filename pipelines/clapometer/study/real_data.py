"""Evidence on real data: what the label, the comparisons and the estimator do where people gave their verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from clapometer.domain import InputError
from clapometer.labels import (
    DEFAULT_RULE,
    LabelRule,
    count_watches,
    fit_watch_quantiles,
    implicit_part,
    label_columns,
    label_values,
    watch_bins,
)
from clapometer.lake.duck import connect
from clapometer.ranking import BradleyTerry
from clapometer.study.biased_exposure import recover_scores

__all__ = ["EvidenceRow", "Ratings", "genai_evidence", "kuairand_evidence", "rating_pairs", "read_ratings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Oracle = Callable[[Floats], Floats]
"""Strengths by somebody else's implementation, from how often each item (row) beat each other one (column)."""


@dataclass(frozen=True)
class EvidenceRow:
    """One measured quantity.

    Attributes:
        data: Where it was measured.
        quantity: What was measured.
        value: The number.
        n: Rows, prompts or worlds behind it.
        target: What it should be, in words; empty for a number given for comparison.
        met: Whether it is; None without a target.
        error: Standard error of `value`; None where the data are all there are.
    """

    data: str
    quantity: str
    value: float
    n: int
    target: str = ""
    met: bool | None = None
    error: float | None = None


@dataclass(frozen=True)
class Ratings:
    """Human scores of generated media: ``scores[prompt, model, rater]``, 1 (bad) to 5 (good).

    What lies outside is a slip of the rater's hand (41, 33) and NaN here.
    """

    models: tuple[str, ...]
    scores: Floats


def kuairand_evidence(reactions: Path, rule: LabelRule = DEFAULT_RULE, folds: int = 5) -> list[EvidenceRow]:
    """Returns how well the rule without reactions tells liked from hated impressions, for viewers it never saw.

    Watch quantiles are learnt from the other viewers of each split; nothing is fitted to likes or hates.
    Duplicates and image posts are dropped.

    Args:
        reactions: The tab-separated, gzipped file of like and hate reactions.
        rule: Its explicit part is ignored.
        folds: Splits of the viewers.
    """
    columns = _read_reactions(reactions)
    liked, viewer, duration = columns["label"].astype(bool), columns["user_id"], columns["duration_ms"]
    rule = implicit_part(rule)
    scores = {"default label without reactions": np.zeros(len(liked)), "watch quantile": np.zeros(len(liked))}
    bins = watch_bins(rule.watch, columns["watched_ms"], columns["total_ms"], duration)
    for train, test in GroupKFold(folds).split(viewer, groups=viewer):
        table = fit_watch_quantiles(count_watches(bins[0][train], bins[1][train]), rule.watch)
        quantile = table.at(bins[0][test], bins[1][test])
        part = {name: values[test] for name, values in columns.items()} | {"watch_quantile": quantile}
        scores["default label without reactions"][test] = label_values(rule, part)
        scores["watch quantile"][test] = np.where(np.isnan(quantile), rule.watch.neutral, quantile)
    scores["watch ratio"] = columns["total_ms"] / duration
    scores["watch time"] = columns["total_ms"]
    scores["click"] = columns["clicked"]
    areas = {name: float(roc_auc_score(liked, score)) for name, score in scores.items()}
    rows = [
        _compared("AUC of like against hate: " + name, area, len(liked))
        if k
        else EvidenceRow(
            "KuaiRand", "AUC of like against hate: " + name, area, len(liked),
            f"above watch ratio ({areas['watch ratio']:.3f})", area > areas["watch ratio"],
        )
        for k, (name, area) in enumerate(areas.items())
    ]  # fmt: skip
    for k, (name, score) in enumerate(scores.items()):
        rank = float(spearmanr(score, duration)[0])
        target = ("|rho| <= 0.05", abs(rank) <= 0.05) if k == 0 else ("", None)
        rows.append(EvidenceRow("KuaiRand", f"Spearman with duration: {name}", rank, len(liked), *target))
    return rows


def genai_evidence(
    videos: Path, images: Path, oracle: Oracle | None = None, worlds: int = 40, seed: int = 0
) -> list[EvidenceRow]:
    """Returns whether human verdicts come back from comparisons, and from engagement under biased exposure.

    Args:
        videos: Prompts x text-to-video models, mean score of three raters.
        images: Prompts x text-to-image models x raters.
        oracle: Independent Bradley-Terry implementation to compare strengths with; None leaves that out.
        worlds: Simulated logs per data set of videos.
        seed: Of these.
    """
    video, image = read_ratings(videos), read_ratings(images)
    return [
        *_agreement("GenAI-Bench video", video, oracle),
        *_agreement("GenAI-Bench image", image, oracle),
        *_recovery(video, worlds, seed),
    ]


def _agreement(name: str, ratings: Ratings, oracle: Oracle | None) -> list[EvidenceRow]:
    left, right, result, prompt = rating_pairs(ratings)
    fitted = BradleyTerry().fit(np.column_stack([left, right]), result, cluster=prompt)
    mean = np.nanmean(ratings.scores, axis=(0, 2))
    strengths = [
        _compared(f"Bradley-Terry strength: {ratings.models[k]}", float(fitted.strengths_[k]), len(left), name)
        for k in np.argsort(-fitted.strengths_).tolist()
    ]
    slips = int(np.isnan(ratings.scores).sum())
    same = bool((np.argsort(fitted.strengths_) == np.argsort(mean)).all())
    rows = [
        *strengths,
        _compared("scores outside 1 to 5, dropped", float(slips), ratings.scores.size, name),
        EvidenceRow(name, "order by strength = order by mean score", float(same), len(mean), "yes", same),
    ]
    if oracle is not None:
        theirs = oracle(_wins(left, right, result, len(mean)))
        gap = float(np.abs(fitted.strengths_ - (theirs - theirs.mean())).max())
        rows.append(EvidenceRow(name, "largest difference from choix", gap, len(left), "<= 1e-6", gap <= 1e-6))
    return rows


def read_ratings(path: Path) -> Ratings:
    """Returns the human scores of a GenAI-Bench file.

    Raises:
        InputError: A prompt lacks a model, or has no scores.
    """
    prompts = json.loads(path.read_text(encoding="utf-8"))
    models = tuple(sorted(next(iter(prompts.values()))["models"]))
    rows = []
    for name, entry in prompts.items():
        if set(entry["models"]) != set(models):
            msg = f"has {sorted(entry['models'])}, others have {list(models)}"
            raise InputError(msg, f"{name}.models")
        rows.append([_scores(entry["models"][model]) for model in models])
    scores = np.array(rows, dtype=float)
    return Ratings(models, np.where((scores >= 1) & (scores <= 5), scores, np.nan))


def rating_pairs(ratings: Ratings) -> tuple[Ints, Ints, Floats, Ints]:
    """Returns left, right, result (1, 0, 0.5) and prompt of every two models' scores by one rater for one prompt."""
    prompts, models, raters = ratings.scores.shape
    first, second = np.triu_indices(models, 1)
    gap = ratings.scores[:, first, :] - ratings.scores[:, second, :]
    shape, known = (prompts, len(first), raters), ~np.isnan(gap)
    return (
        np.broadcast_to(first[None, :, None], shape)[known],
        np.broadcast_to(second[None, :, None], shape)[known],
        (np.sign(gap[known]) + 1) / 2,
        np.broadcast_to(np.arange(prompts)[:, None, None], shape)[known],
    )


def _recovery(ratings: Ratings, worlds: int, seed: int) -> list[EvidenceRow]:
    found = recover_scores(ratings.scores.mean(2), worlds=worlds, seed=seed)
    name = "GenAI-Bench video, engagement simulated from the scores under biased exposure"
    kept = [
        ("Kendall tau with the truth: ours", found.tau, ">= 0.9"),
        ("worlds with the right order: ours", found.right, ">= 0.9"),
        ("coverage of 95 % intervals: ours", found.covered, "0.93 to 0.97"),
    ]
    rows = []
    for quantity, values, target in kept:
        value, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(worlds)) if worlds > 1 else None
        met = 0.93 <= value <= 0.97 if "to" in target else value >= 0.9
        rows.append(EvidenceRow(name, quantity, value, worlds, target, met, error))
    return rows + [
        _compared(f"Kendall tau with the truth: {method}", float(tau.mean()), worlds, name)
        for method, tau in found.others.items()
    ]


def _compared(quantity: str, value: float, n: int, data: str = "KuaiRand") -> EvidenceRow:
    return EvidenceRow(data, quantity, value, n)


def _scores(value: object) -> list[float]:
    """A list of raters' scores, or the mean of three as text."""
    if isinstance(value, list):
        return [float(score) for score in value]
    if isinstance(value, dict) and "human" in value:
        return [float(value["human"])]
    msg = "has neither a list of scores nor `human`"
    raise InputError(msg, "models")


def _wins(left: Ints, right: Ints, result: Floats, n: int) -> Floats:
    """How often each item beat each other one; a tie is half a win for either."""
    wins = np.zeros((n, n))
    np.add.at(wins, (left, right), result)
    np.add.at(wins, (right, left), 1 - result)
    return wins


def _read_reactions(path: Path) -> dict[str, Floats]:
    with connect() as connection:
        rows = connection.execute(
            """
            SELECT DISTINCT ON (user_id, video_id, time_ms)
                user_id, label, duration_ms, is_click AS clicked,
                LEAST(play_time_ms, duration_ms) AS watched_ms, play_time_ms AS total_ms
            FROM read_csv($path, delim = '\t', header = true)
            WHERE duration_ms > 0
            ORDER BY user_id, video_id, time_ms
            """,
            {"path": str(path)},
        ).fetchnumpy()
    columns = {name: np.asarray(values, float) for name, values in rows.items()}
    absent = np.zeros(len(columns["label"]))
    return columns | {name: absent for name in label_columns(implicit_part(DEFAULT_RULE)) if name not in columns}
