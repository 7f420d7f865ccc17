"""The number that the API serves is the number that an analyst's SQL gives."""

from collections.abc import Callable
from random import Random
from typing import Any

import duckdb
import pytest
from tests.support.event_rows import Row, answer, at, clip, impression, row
from tests.support.lakes import clock, lake_of, traffic
from tests.unit.serving.running import Serving

from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

SHARED = {"impressions", "clips", "completion_rate", "like_rate", "revenue_per_1000", "cost_per_clip"}
ITEMS = {"model_versions": "model", "prompts": "prompt_id", "templates": "template"}


def sold_and_screened() -> list[Row]:
    """Returns traffic with costs, templates and sales, and with all that does not count."""
    random = Random(3)
    rows = traffic(prompts=25)
    for line in rows:
        if line["type"] == "clip_registered":
            line |= {
                "cost_amount": random.choice([None, 0.5, 0.25, 1.5]), "cost_currency": random.choice(["EUR", "USD"]),
                "template_id": random.choice(["spin", "unbox"]), "template_version": "2",
            }  # fmt: skip
    shown = [line["impression_id"] for line in rows if line["type"] == "impression"]
    for n, about in enumerate(random.sample(shown, 60)):
        paid = {"value": random.choice([5.0, 20.0]), "currency": "EUR" if n % 3 else "USD", "order_id": f"o{n}"}
        rows.append(answer("converted", about, f"buy {n}", at(days=3), kind="purchase", **paid))
    for name, odd in {
        "ad": {"flags_ad": True}, "marked": {"flags_watermark": True}, "gone": {}, "mine": {"lineage_creator_id": "me"},
    }.items():  # fmt: skip
        rows.append(clip(name, "p1", "m1", template_id="spin", template_version="2", **odd))
        rows += [impression(f"{name} {n}", name, viewer_id="me") for n in range(3)]
    rows.append(row("clip_withdrawn", "w", at(1), clip_id="gone", reason="rights"))
    return [*rows, impression("forged", "c1-1", trust="none"), impression("unknown", "never registered")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = lake_of(tmp_path_factory.mktemp("same") / "lake", sold_and_screened())
    report = train_once(lake, clock=clock, parameters=Parameters(min_impressions=50))
    assert report.run.status == "succeeded", report.run.error
    publish(lake)
    return lake


@pytest.mark.parametrize("subject", ITEMS)
def test_the_api_serves_the_numbers_of_the_views(trained: Lake, start: Callable[..., Serving], subject: str) -> None:
    answered = start(trained.storage.published).get(f"/v1/rankings/{subject}?limit=1000").json()
    served: dict[str, dict[str, Any]] = {line["item"]: line for line in (*answered["rows"], *answered["unranked"])}
    with duckdb.connect(str(trained.storage.published), read_only=True) as connection:
        found = connection.sql(f"FROM {subject}").to_arrow_table().to_pylist()
    view = {line[ITEMS[subject]]: line for line in found}
    assert served.keys() == view.keys()
    assert len(served) >= 2
    for item, line in view.items():
        for name in served[item].keys() & SHARED:
            assert served[item][name] == (None if line[name] is None else pytest.approx(line[name], rel=1e-11)), name
        for name in ("rank", "effect", "effect_low", "effect_high"):
            assert served[item].get(name) == line[name]
    if subject == "model_versions":
        assert all(line.keys() >= SHARED for line in served.values())
        assert all(line["revenue_per_1000"] > 0 and line["cost_per_clip"] > 0 for line in view.values())
