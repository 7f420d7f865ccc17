"""A small real lake with rankings, for everything that reads them: values are made up, shapes are not."""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pyarrow as pa
from tests.support.event_rows import Row, clip, events_table, row

from clapometer.domain import verdict
from clapometer.lake.published.publish import publish
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake

NOW = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
EVIL = "<script>document.title='owned'</script>{{7*7}}\"'&"
"""A prompt that tries to be markup, a template and an attribute."""

MODELS = [
    ("kite@3.1", 0.110), ("kite@3.0", 0.078), ("aurora@2", 0.071), ("lumen@1.4", 0.046), ("kite@2.5", 0.021),
    ("aurora@1", 0.004), ("mosaic@0.9", -0.009), ("lumen@1.3", -0.031), ("drift@5", -0.047), ("mosaic@0.8", -0.062),
    ("drift@4", -0.081), ("pixel@1", -0.100),
]  # fmt: skip
TEXTS = [
    "a paper crane unfolds into a city at dawn", "two astronauts share noodles on a space station, handheld camera",
    "close-up of rain on a neon window", "a fox reads the news, 1950s television", EVIL,
    "an impossibly long prompt that goes on about the light of a late afternoon in a harbour where gulls argue over "
    "the last chip while a brass band rehearses under the crane and nobody minds the tide coming in",
    "product shot: running shoe explodes into origami", "slow dolly through a library made of ice",
]  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A ranked item to be: ``half`` is half of its interval's width."""

    item: str
    effect: float
    half: float = 0.02
    label: str | None = None
    completion_rate: float = 0.5


def run_row(run_id: str, finished_at: dt.datetime = NOW - HOUR, **values: Any) -> Row:
    """Returns a good run."""
    return {
        "run_id": run_id,
        "tenant": "default",
        "status": "succeeded",
        "trigger": "schedule",
        "started_at": finished_at - dt.timedelta(seconds=40),
        "finished_at": finished_at,
        "code_version": "0.1.0",
        "rule": msgspec.json.encode({"name": "engagement", "version": 1, "like": 1.0, "save": 1.5}).decode(),
        "estimator": "clip AIPW, prompt fixed effects, prompt-clustered",
        "parameters": msgspec.json.encode({"min_prompts": 20, "level": 0.95}).decode(),
        "seed": 7,
        "snapshot": msgspec.json.encode({"outcomes": 12, "events": 30}).decode(),
        "excluded": msgspec.json.encode(
            {"untrusted impression": 310, "repost": 42, "a reason of tomorrow": 128, "vote without trust": 7}
        ).decode(),
        "outcomes": 631_204,
        "result_hash": "abc",
        "error": None,
    } | values


def ranking_rows(
    run_id: str, subject: str, items: Sequence[Item], segment: str = "all", value: str = "", **same: Any
) -> list[Row]:
    """Returns the rows of one ranking; ranks and rank ranges follow from effects and intervals."""
    ordered = sorted(items, key=lambda item: -item.effect)
    base: Row = dict.fromkeys(TABLES["rankings"][0].names)
    place = {"run_id": run_id, "tenant": "default", "created_at": NOW, "subject": subject, "segment": segment}
    rows = []
    for rank, item in enumerate(ordered, 1):
        low, high = item.effect - item.half, item.effect + item.half
        better = sum(other.effect - other.half > high for other in ordered)
        worse = sum(other.effect + other.half < low for other in ordered)
        places = (better + 1, len(ordered) - worse)
        best = 1 / (1 + math.exp(4 * (rank - 2)))
        judged = str(verdict(low, high, places, len(ordered), best=best, calibrated=True))
        estimated = {
            "rank": rank, "rank_low": places[0], "rank_high": places[1],
            "effect": item.effect, "effect_low": low, "effect_high": high,
            "value": 0.42 + item.effect, "value_low": 0.42 + low - 0.01, "value_high": 0.42 + high + 0.01,
            "p_best": best, "verdict": judged, "tier": "B", "calibrated": True,
        }  # fmt: skip
        counted = {
            "impressions": 60_000 - 1_000 * rank, "clips": 400 + rank, "prompts": 380, "viewers": None,
            "completion_rate": item.completion_rate, "like_rate": 0.031 + item.effect / 10,
            "cost_per_clip": 0.04 + rank / 500, "revenue_per_1000": 1.9 - rank / 20, "currency": "EUR",
            "cost_currency": "USD",
        }  # fmt: skip
        named = {"item": item.item, "label": item.label or item.item, "segment_value": value}
        rows.append(base | place | named | estimated | counted | same)
    return rows


def votes_rows(run_id: str, items: Sequence[Item]) -> list[Row]:
    """Returns the ranking by votes: it counts votes, and nothing that viewers did."""
    nothing = dict.fromkeys(
        (
            "impressions",
            "completion_rate",
            "like_rate",
            "cost_per_clip",
            "revenue_per_1000",
            "currency",
            "cost_currency",
        )
    )
    counted = nothing | {"votes": 260, "viewers": 190, "prompts": 58, "tier": "A"}
    louder = [Item(item.item, 8 * item.effect, 0.3) for item in items]
    rows = ranking_rows(run_id, "model_versions", louder, "evidence", "votes", **counted)
    for line in rows:
        ends = zip(("value", "value_low", "value_high"), ("effect", "effect_low", "effect_high"), strict=True)
        line.update({value: 1 / (1 + math.exp(-line[effect])) for value, effect in ends})
    new = unranked_row(run_id, "model_versions", "pixel@2", "it never won against the others")
    return [*rows, new | nothing | {"segment": "evidence", "segment_value": "votes", "votes": 3, "tier": "A"}]


def unranked_row(run_id: str, subject: str, item: str, reason: str, label: str | None = None) -> Row:
    """Returns the row of an item without a place."""
    base: Row = dict.fromkeys(TABLES["rankings"][0].names)
    return base | {
        "run_id": run_id, "tenant": "default", "created_at": NOW, "subject": subject, "segment": "all",
        "segment_value": "", "item": item, "label": label or item, "tier": "B", "calibrated": False,
        "verdict": "not enough evidence", "unranked_reason": reason, "impressions": 12, "clips": 2,
    }  # fmt: skip


def contrast_row(run_id: str, left: str, right: str, *, difference: float, half: float, p_left: float | None) -> Row:
    """Returns what a run says about a pair of model versions."""
    return {
        "run_id": run_id, "tenant": "default", "subject": "model_versions", "segment": "all", "segment_value": "",
        "left_item": left, "right_item": right, "difference": difference, "low": difference - half,
        "high": difference + half, "p_left": p_left, "tier": "B",
        "always_low": difference - 1.6 * half, "always_high": difference + 1.6 * half,
    }  # fmt: skip


def model_items(seed: int = 3) -> list[Item]:
    """Returns the model versions, with completion rates that follow length more than worth."""
    random = Random(seed)
    return [Item(name, effect, 0.014, None, 0.46 + effect / 3 + random.gauss(0, 0.03)) for name, effect in MODELS]


def prompt_items(n: int = 40) -> list[Item]:
    """Returns prompts; their labels are texts that anybody may have written."""
    random = Random(5)
    return [
        Item(f"p{i:03d}", random.gauss(0, 0.08), 0.05, f"{TEXTS[i % len(TEXTS)]}{'' if i < len(TEXTS) else f' ({i})'}")
        for i in range(n)
    ]


def template_items() -> list[Item]:
    """Returns templates."""
    names = ("unboxing@2", "talking-animal@1", "product-spin@4", "before-after@1", "street-interview@3", "asmr@1")
    return [Item(name, 0.06 - 0.022 * i, 0.02) for i, name in enumerate(names)]


def add(lake: Lake, name: str, rows: Iterable[Row]) -> None:
    """Appends rows to a table."""
    lake.append(name, pa.Table.from_pylist(list(rows), schema=TABLES[name][0]))


def add_run(lake: Lake, run_id: str, finished_at: dt.datetime = NOW - HOUR, **same: Any) -> None:
    """Adds a good run with rankings of everything; ``same`` overrides columns of all rankings."""
    models = model_items()
    rows = [
        *ranking_rows(run_id, "model_versions", models, **same),
        unranked_row(run_id, "model_versions", "pixel@2", "it shares too few prompts with other items"),
        *ranking_rows(run_id, "prompts", prompt_items(), **same),
        unranked_row(run_id, "prompts", "p900", "not enough impressions", label=EVIL),
        *ranking_rows(run_id, "templates", template_items(), **same),
    ]
    for segment, value in (("task", "t2v"), ("task", "i2v"), ("audience", "teens"), ("locale", "de"), ("locale", "en")):
        rows += ranking_rows(run_id, "model_versions", models[2:9], segment, value, **same)
    rows += votes_rows(run_id, models[:4])
    add(lake, "rankings", rows)
    add(lake, "contrasts", [contrast_row(run_id, "kite@3.1", "aurora@2", difference=0.039, half=0.011, p_left=0.999)])
    add(lake, "runs", [run_row(run_id, finished_at)])


def add_failed_run(lake: Lake, run_id: str, error: str, at: dt.datetime = NOW) -> None:
    """Adds a run that failed."""
    add(lake, "runs", [run_row(run_id, at, status="failed", error=error, outcomes=None, result_hash=None)])


def add_pipeline(lake: Lake, hours: int = 30) -> None:
    """Adds a ledger, rejected events and clips of every model version and prompt."""
    random = Random(11)
    ledger = []
    for back in range(hours):
        stored, duplicate, rejected = 9_000 + random.randrange(6_000), random.randrange(400), random.randrange(60)
        ledger.append(
            {
                "tenant": "default", "source": "/app", "hour": NOW.replace(minute=0) - back * HOUR,
                "received": stored + duplicate + rejected, "stored": stored, "duplicate": duplicate,
                "conflict": 0, "rejected": rejected, "suppressed": 0, "commit": back, "weightless": 40,
            }
        )  # fmt: skip
    add(lake, "ledger", ledger)
    reasons = (
        ("data.propensity", "Expected `float` <= 1.0", "out_of_range"),
        ("type", "unknown event type 'clapometer.liked.v1'", "unknown_type"),
    )
    add(lake, "rejected", [_rejected(*reasons[i % 3 == 0]) for i in range(9)])
    clips = [
        clip(f"{model}/{i}", f"p{i:03d}", model.partition("@")[0], NOW - HOUR, model_version=model.partition("@")[2])
        for model, _ in MODELS
        for i in range(8)
    ]
    lake.append("events", events_table(clips))


def add_withdrawal(lake: Lake, clip_id: str, reason: str = "rights", scope: str = "clip") -> None:
    """Takes a clip down."""
    withdrawn = row(
        "clip_withdrawn", f"withdraw {clip_id}", NOW, clip_id=clip_id, reason=reason, scope=scope, trust="key"
    )
    lake.append("events", events_table([withdrawn]))


def full_lake(root: Path) -> Lake:
    """Returns a published lake with two good runs and a busy pipeline."""
    lake = Lake(root)
    add_pipeline(lake)
    add_run(lake, "run-old", NOW - 24 * HOUR)
    add_run(lake, "run-new", NOW - HOUR)
    publish(lake)
    return lake


def _rejected(field: str, reason: str, code: str) -> Row:
    return {
        "tenant": "default", "received_at": NOW, "reason": reason, "field": field, "source": "/app", "id": "1",
        "raw": "{}", "encoding": "text", "partition": 0, "offset": 1, "code": code, "received_date": NOW.date(),
    }  # fmt: skip
