"""A tenant cannot tell another tenant's ids from ids that nobody has: not by any route, not by any parameter."""

import re
from collections.abc import Callable, Iterator
from random import Random

import httpx2
import pytest
from tests.support.event_rows import clip, events_table
from tests.unit.collector.conftest import Collector
from tests.unit.collector.test_bad_input import event
from tests.unit.serving.running import OTHER_SECRET, SECRET, Serving
from tests.unit.serving.sample_lake import (
    HOUR,
    MODELS,
    NOW,
    Item,
    add,
    add_withdrawal,
    full_lake,
    ranking_rows,
    run_row,
)

from clapometer.lake.published.publish import publish
from clapometer.serving import ServingConfig

NOBODY = "nobody-has-this-id"
OURS = ["run-other", "zeta@1", "zeta@2", "zeta@1/0"]
THEIRS = ["run-old", "run-new", *(name for name, _ in MODELS), "kite@3.1/0", "pixel@1/7", "p000", "p039", "p900"]
"""Ids of the tenant ``default``: runs, model versions, clips, prompts."""
ASKED_BEFORE = re.compile(r'<section class="card" aria-labelledby="unregistered-title">.*?</section>', re.DOTALL)
"""Which candidates the reader's own keys asked for before: so the page differs from one question to the next."""
SEGMENTS = {"task": "t2v", "audience": "teens", "locale": "de"}
TABLES = ("events", "clips", "outcomes", "rankings", "contrasts", "runs", "ledger", "rejected")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serving over a lake of two tenants, none of which is public."""
    lake = full_lake(tmp_path_factory.mktemp("tenants") / "lake")
    add(lake, "runs", [run_row("run-other", NOW - HOUR, tenant="other")])
    add(
        lake,
        "rankings",
        ranking_rows("run-other", "model_versions", [Item("zeta@1", 0.1), Item("zeta@2", 0.0)], tenant="other"),
    )
    own = clip("zeta@1/0", "zp", "zeta", NOW - HOUR, model_version="1", tenant="other")
    lake.append("events", events_table([own]))
    add_withdrawal(lake, "kite@3.1/0")  # of the tenant default
    publish(lake)
    running = Serving(lake.storage.published, ServingConfig(public_tenant=None, refresh_seconds=0))
    yield running
    running.stop()


def requests_with(serving: Serving, key: str, name: str) -> Iterator[httpx2.Response]:
    """Yields the answers of every route of serving that takes an id, with ``name`` in every place for one."""
    for subject in ("model_versions", "prompts", "templates"):
        for parameter in ("run", "as_of", *SEGMENTS):
            yield serving.http.get(f"/v1/rankings/{subject}", params={parameter: name}, headers=bearer(key))
        for pair in ((name, "zeta@1"), ("zeta@1", name), (name, NOBODY + "2")):
            given = {"left": pair[0], "right": pair[1], "subject": subject}
            yield serving.http.get("/v1/compare", params=given, headers=bearer(key))
            yield serving.http.get("/v1/compare", params={**given, "run": name}, headers=bearer(key))
    yield serving.http.get("/", params={"run": name}, headers=bearer(key))
    yield serving.http.get("/", params={"task": name}, headers=bearer(key))
    yield serving.slate(key, candidates=[name, "zeta@1/0"], policy="uniform", slots=2)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def shape(answer: httpx2.Response, name: str) -> tuple[int, str]:
    """Returns an answer without the id that was asked for, and without what chance and time put into it."""
    text = re.sub(r"\s+", " ", ASKED_BEFORE.sub("", answer.text))
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|v\d\.t1\.\d+\.[\w.-]+|sha256-\S+", "…", text)
    # what is near an id depends on its letters alone: those that are offered are the reader's own
    offered = re.findall(r"; did you mean [^?]*\?", text)
    assert not [theirs for theirs in THEIRS if theirs != name and any(f"`{theirs}`" in each for each in offered)]
    text = re.sub(r"; did you mean [^?]*\?", "", text)
    text = text.replace(name, "<id>").replace(name.replace("@", "%40").replace("/", "%2F"), "<id>")
    if "slots" in text:
        made = answer.json()["slots"]
        slots = sorted((slot["clip_id"].replace(name, "<id>"), str(slot.get("score"))) for slot in made)
        return answer.status_code, f"{slots} {answer.json()['left_out']}"
    return answer.status_code, text


@pytest.mark.parametrize("name", THEIRS)
def test_the_id_of_another_tenant_is_answered_like_an_id_that_nobody_has(serving: Serving, name: str) -> None:
    theirs = [shape(answer, name) for answer in requests_with(serving, OTHER_SECRET, name)]
    nobodys = [shape(answer, NOBODY) for answer in requests_with(serving, OTHER_SECRET, NOBODY)]
    assert theirs == nobodys
    assert len(theirs) > 30


def test_ids_swapped_at_random_over_all_routes_give_nothing_away(serving: Serving) -> None:
    random = Random(5)
    secrets = [name for name in THEIRS if name not in {"p000", "p039", "p900"}]
    for _ in range(300):
        names = random.sample([*THEIRS, *OURS, NOBODY], 3)
        path = random.choice(("/v1/rankings/model_versions", "/v1/rankings/prompts", "/v1/compare", "/"))
        fields = random.sample(("run", "as_of", "left", "right", "task", "audience", "subject"), 3)
        answer = serving.http.get(path, params=dict(zip(fields, names, strict=True)), headers=bearer(OTHER_SECRET))
        assert answer.status_code in {200, 404, 422}
        asked = " ".join(names)  # answers quote what they were asked for
        assert [name for name in secrets if name in answer.text and name not in asked] == []


def test_an_own_id_is_found_so_that_the_others_could_have_been(serving: Serving) -> None:
    own = [answer.status_code for answer in requests_with(serving, OTHER_SECRET, "run-other")]
    assert own.count(200) > 1
    theirs = [answer.status_code for answer in requests_with(serving, SECRET, "run-new")]
    assert theirs.count(200) > 1


@pytest.mark.parametrize("table", TABLES)
def test_sql_sees_no_row_of_another_tenant(serving: Serving, table: str) -> None:
    body = {"sql": f"SELECT count(*) FILTER (tenant <> 'other'), count(*) FROM {table}"}
    answer = serving.http.post("/v1/sql", json=body, headers=bearer(OTHER_SECRET))
    if answer.status_code == 422:
        assert f"no table '{table}'" in answer.json()["detail"]
    else:
        assert answer.json()["rows"][0][0] == 0


@pytest.mark.parametrize("path", ["/", "/v1/rankings/prompts", "/v1/compare?left=a&right=b"])
def test_without_a_public_tenant_nothing_is_read_without_a_key(serving: Serving, path: str) -> None:
    assert serving.get(path).status_code == 401


def withdraw(collector: Collector) -> httpx2.Response:
    body = {"reason": "r", "scope": "clip"}
    return collector.http.post("/v1/clips/x/withdrawal", json=body, headers=bearer(collector.secret))


def erase(collector: Collector) -> httpx2.Response:
    headers = {**bearer(collector.secret), "x-tenant": "rival"}
    return collector.http.delete("/v1/viewers/v?tenant=rival", headers=headers)


def send(collector: Collector) -> httpx2.Response:
    foreign = event(collector, "e") | {"tenant": "rival"}
    return collector.post([event(collector, "f", tenant="rival"), foreign, event(collector, "g")])


@pytest.mark.parametrize("ask", [send, withdraw, erase])
def test_whatever_a_request_says_its_events_belong_to_the_tenant_of_its_key(
    collector: Collector, ask: Callable[[Collector], httpx2.Response]
) -> None:
    assert ask(collector).status_code == 202
    assert {block.header.tenant for block in collector.blocks()} == {"acme"}
