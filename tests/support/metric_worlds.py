"""Many small random worlds in one lake, each a tenant of its own, and every metric of them in plain Python."""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import mean
from typing import Any

import pyarrow as pa
from tests.support.event_rows import Row, at, clip, events_table, row

from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake

FLAGS = (
    "liked", "saved", "shared", "commented", "followed", "disliked", "hidden", "not_interested", "reported", "clicked",
    "visual_searched", "carted", "purchased",
)  # fmt: skip


@dataclass(frozen=True)
class WorldRows:
    """What a world consists of: rows of the lake's tables."""

    clips: list[Row]
    outcomes: list[Row]
    actions: list[Row]
    withdrawals: list[Row]


def random_world(tenant: str, random: Random, *, clips: int = 6, outcomes: int = 30) -> WorldRows:
    """Returns a world with something odd in it: unknown clips, missing numbers, forgeries, three currencies."""
    made = [_clip(tenant, n, random) for n in range(random.choice([0, *[clips - 1] * 9, *[clips] * 9]))]
    shown = [
        _outcome(tenant, n, clips, random) for n in range(random.choice([0, *[outcomes // 2] * 9, *[outcomes] * 9]))
    ]
    acts = ["accepted", "rerolled", "edited", "downloaded", "published", "deleted"]
    actions = [
        row("creator_acted", f"act {n}", at(), tenant=tenant, batch_id="b", action=random.choice(acts))
        for n in range(random.randint(0, 5))
    ]
    taken = [
        row("clip_withdrawn", f"take {c['clip_id']}", at(days=1), tenant=tenant, clip_id=c["clip_id"], reason="x")
        for c in made
        if random.random() < 0.1
    ]
    return WorldRows(made, shown, actions, taken)


def _clip(tenant: str, n: int, random: Random) -> Row:
    model, template = random.choice("ab"), random.choice(["t1", "t2", "t3", None])
    return clip(
        f"c{n}", f"p{random.randrange(3)}", model, at(days=-1), tenant=tenant, template_id=template,
        template_version=random.choice(["1", None]), duration_ms=random.choice([900, 2_000, 5_000, 5_100, 30_000]),
        cost_amount=random.choice([None, round(random.uniform(0, 2), 3)]),
        cost_currency=random.choice(["EUR", "USD"]), cost_gpu_seconds=random.choice([None, 3.5, 8.0]),
        flags_ad=random.random() < 0.1, flags_watermark=random.choice([None, None, None, False, False, True]),
        lineage_creator_id=random.choice([None, None, "v0", "v1"]),
    )  # fmt: skip


def _outcome(tenant: str, n: int, clips: int, random: Random) -> Row:
    watched = random.choice([None, 0, random.randrange(6_000), random.randrange(40_000)])
    bought = random.random() < 0.3
    shown_at = at(days=random.randrange(2), seconds=n)
    base: Row = dict.fromkeys(TABLES["outcomes"][0].names)
    return base | {name: random.random() < 0.2 for name in FLAGS} | {
        "tenant": tenant, "impression_id": f"i{n}", "clip_id": f"c{random.randrange(clips + 1)}",
        "viewer_id": f"v{random.randrange(4)}", "trust": random.choice(["key", "token", "token", "none", "forged"]),
        "audience": random.choice([None, "teens", "all"]), "explored": random.random() < 0.3,
        "propensity": random.choice([None, 0.1]), "watched_ms": watched,
        "total_ms": random.choice([None, (watched or 0) * random.randint(1, 3)]),
        "muted_ms": random.choice([None, 0, 700, 20_000]), "loops": random.choice([None, 0, 2]),
        "max_position_ms": random.choice([None, watched]),
        "revenue": round(random.uniform(1, 9), 2) if bought else None,
        "currency": random.choice(["EUR", "EUR", "USD", "JPY"]) if bought else None,
        "shown_at": shown_at, "shown_date": shown_at.date(), "last_event_at": shown_at,
    }  # fmt: skip


def lake_of_worlds(root: Any, worlds: Iterable[WorldRows]) -> Lake:
    """Returns a lake that holds the worlds."""
    lake = Lake(root)
    kept = list(worlds)
    lake.append("events", events_table([e for w in kept for e in (*w.clips, *w.withdrawals, *w.actions)]))
    outcomes = [outcome for world in kept for outcome in world.outcomes]
    lake.append("outcomes", pa.Table.from_pylist(outcomes, schema=TABLES["outcomes"][0]))
    return lake


def _most_frequent(currencies: Iterable[str | None]) -> str | None:
    given = [currency for currency in currencies if currency]
    return min(set(given), key=lambda currency: (-given.count(currency), currency), default=None)


class Reference:
    """Every metric of a world, computed row by row with nothing but Python."""

    def __init__(self, world: WorldRows) -> None:
        self.clips = {c["clip_id"]: c for c in world.clips}
        self.withdrawn = {w["clip_id"] for w in world.withdrawals}
        self.actions = world.actions
        self.rows = [self._measured(outcome) for outcome in world.outcomes]
        self.counted = [r for r in self.rows if self._counts(r)]
        self.currency = _most_frequent(r["currency"] for r in self.counted)
        self.costs = self._costs("cost_amount", lambda c: c["cost_currency"])
        self.gpu_seconds = self._costs("cost_gpu_seconds", lambda _: "s")
        self.cost_currency = _most_frequent(self.clips[id_]["cost_currency"] for id_ in self.costs)
        quantiles = self._quantiles()
        for r in self.counted:
            r["watch_quantile"] = quantiles[r["impression_id"]]
            r["income"] = None if self.currency is None else r["revenue"] if r["currency"] == self.currency else 0.0

    def _costs(self, column: str, unit: Callable[[Row], Any]) -> dict[str, float]:
        """Returns what clips cost by id, but for what is ten times all others of its unit, or model version."""
        known = [c for c in self.clips.values() if c[column] is not None]
        keys = {c["clip_id"]: [unit(c), (unit(c), c["model_name"])] for c in known}

        def most(key: Any) -> float:
            alike = sorted((c[column] for c in known if c[column] > 0 and key in keys[c["clip_id"]]), reverse=True)
            return 10 * alike[min(3, len(alike) // 2)] if alike else 0.0

        return {c["clip_id"]: c[column] for c in known if c[column] <= min(map(most, keys[c["clip_id"]]))}

    def _measured(self, outcome: Row) -> Row:
        of = self.clips.get(outcome["clip_id"])
        length = of["duration_ms"] if of else None
        played = max(outcome["watched_ms"] or 0, outcome["total_ms"] or 0)
        played = min(played, 2 * length) if length else played

        def nearly(ms: float) -> float:
            return min(ms, 0.97 * length) if length else ms

        return outcome | {
            "clip": of,
            "played_ms": played,
            "watch_ratio": played / length if length else None,
            "started": played > 0,
            "viewable": played >= 2_000,
            "viewed_3s": played >= nearly(3_000),
            "held": played >= nearly(15_000),
            "skipped_early": 0 < played < nearly(1_500),
            "completed": bool(length) and played >= 0.95 * length,
            "replayed": (outcome["loops"] or 0) > 0,
            "heard": (outcome["total_ms"] or 0) > 2 * (outcome["muted_ms"] or 0),
            "liked_it": any(outcome[name] for name in FLAGS[:5]),
            "disliked_it": any(outcome[name] for name in FLAGS[5:9]),
        }

    def _counts(self, r: Row) -> bool:
        of = r["clip"]
        if of is None or r["trust"] not in {"key", "token"} or r["clip_id"] in self.withdrawn:
            return False
        return not of["flags_ad"] and not of["flags_watermark"] and r["viewer_id"] != of["lineage_creator_id"]

    def _quantiles(self) -> dict[str, float]:
        def bins(r: Row) -> tuple[int, int]:
            length = r["clip"]["duration_ms"]
            return math.floor(math.log(length) * 12.5), math.floor(math.log(1 + 200 * r["played_ms"] / length) * 50)

        found = {}
        for r in self.counted:
            same = [bins(other)[1] for other in self.counted if bins(other)[0] == bins(r)[0]]
            mine = bins(r)[1]
            found[r["impression_id"]] = (sum(o < mine for o in same) + sum(o == mine for o in same) / 2) / len(same)
        return found

    def rates(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Returns every group metric of some of the counted rows."""
        started = [r for r in rows if r["started"]]
        hooked = [r for r in rows if r["viewed_3s"]]

        def share(of: Sequence[Row], holds: Callable[[Row], Any] | str) -> float | None:
            test = (lambda r: r[holds]) if isinstance(holds, str) else holds
            return sum(bool(test(r)) for r in of) / len(of) if of else None

        every = {
            "start_rate": "started", "viewable_rate": "viewable", "hook_rate": "viewed_3s",
            "completion_rate": "completed", "like_rate": "liked", "save_rate": "saved", "share_rate": "shared",
            "comment_rate": "commented", "follow_rate": "followed", "positive_rate": "liked_it",
            "negative_rate": "disliked_it", "report_rate": "reported", "click_rate": "clicked",
            "visual_search_rate": "visual_searched", "add_to_cart_rate": "carted", "purchase_rate": "purchased",
        }  # fmt: skip
        return {name: share(rows, flag) for name, flag in every.items()} | {
            "hold_rate": share(hooked, "held"),
            "early_skip_rate": share(started, "skipped_early"),
            "replay_rate": sum(r["replayed"] for r in rows) / len(started) if started else None,
            "sound_on_rate": share(started, "heard"),
            "mean_watch_ms": mean(r["played_ms"] for r in started) if started else None,
            "revenue_per_1000": self._income(rows),
            "explored_share": share(rows, lambda r: r["explored"] and r["propensity"] is not None),
            "logged_share": share(rows, lambda r: r["propensity"] is not None),
            "duration_adjusted_completion": mean(r["watch_quantile"] for r in rows) if rows else None,
        }

    def _income(self, rows: Sequence[Row]) -> float | None:
        return 1_000 * sum(r["income"] for r in rows) / len(rows) if rows and self.currency else None

    def of_clips(self, clips: Sequence[Row]) -> dict[str, float | None]:
        """Returns every metric of some clips."""
        known = [c for c in clips if c["cost_currency"] == self.cost_currency]
        costs = [self.costs[c["clip_id"]] for c in known if c["clip_id"] in self.costs]
        seconds = [self.gpu_seconds[c["clip_id"]] for c in clips if c["clip_id"] in self.gpu_seconds]
        return {
            "cost_per_clip": mean(costs) if costs else None,
            "gpu_seconds_per_clip": mean(seconds) if seconds else None,
            "withdrawn_share": mean(c["clip_id"] in self.withdrawn for c in clips) if clips else None,
        }

    def of_creators(self) -> dict[str, float | None]:
        """Returns every metric of creators' actions."""
        done = [a["action"] for a in self.actions]
        taken = {"accepted", "downloaded", "published"}
        return {
            "acceptance_rate": mean(a in taken for a in done) if done else None,
            "reroll_rate": mean(a == "rerolled" for a in done) if done else None,
        }

    def eligible(self) -> list[Row]:
        """Returns the clips that can be ranked."""
        return [
            c
            for c in self.clips.values()
            if not (c["flags_ad"] or c["flags_watermark"] or c["clip_id"] in self.withdrawn)
        ]

    def by(self, key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
        """Returns the counted rows by a key."""
        groups: dict[Any, list[Row]] = defaultdict(list)
        for r in self.counted:
            groups[key(r)].append(r)
        return groups


def template_of(made: Row) -> str | None:
    """Returns how rankings name a clip's template."""
    version = made["template_version"]
    return made["template_id"] and made["template_id"] + (f"@{version}" if version else "")


def day(r: Row) -> dt.date:
    """Returns the day of an outcome."""
    shown: dt.date = r["shown_date"]
    return shown
