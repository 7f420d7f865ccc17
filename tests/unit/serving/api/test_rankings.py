"""``GET /v1/rankings``: refusals first, then what readers rely on."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.unit.serving.running import OTHER_SECRET, PUBLISHABLE, SECRET, Serving
from tests.unit.serving.sample_lake import EVIL, HOUR, MODELS, NOW, add, add_failed_run, add_run, run_row

from clapometer.gate import Rates, TrustedProxies
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.serving import ServingConfig

RANKING = "/v1/rankings/model_versions"


def problem(serving: Serving, path: str, status: int) -> dict[str, Any]:
    answer = serving.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("path", "field", "reason"),
    [
        (f"{RANKING}?colour=red", "colour", "unknown parameter; one of task"),
        (f"{RANKING}?task=t2v&task=i2v", "task", "twice"),
        (f"{RANKING}?task=t2v&locale=de", "locale", "one segment at a time"),
        (f"{RANKING}?limit=0", "limit", "from 1 to 1000"),
        (f"{RANKING}?limit=1001", "limit", "from 1 to 1000"),
        (f"{RANKING}?limit=ten", "limit", "whole number"),
        (f"{RANKING}?limit=%C2%B2", "limit", "whole number"),
        (f"{RANKING}?offset=-1", "offset", "from 0"),
        (f"{RANKING}?offset=99999999999999999999", "offset", "from 0"),
        (f"{RANKING}?as_of=2026-03-01T10:00:00", "as_of", "has no zone"),
        (f"{RANKING}?as_of=run-old&run=run-new", "as_of", "not both"),
        ("/v1/rankings/clips", "subject", "one of model_versions, prompts, templates"),
    ],
)
def test_a_bad_parameter_is_named_with_what_would_do(serving: Serving, path: str, field: str, reason: str) -> None:
    found = problem(serving, path, 422)
    assert found["field"] == field
    assert reason in found["detail"]


@pytest.mark.parametrize("query", ["task=edit", "task=", "duration_band=long", "task=%27%20OR%201=1--"])
def test_a_segment_that_no_run_computed_gets_the_list_of_those_that_exist(serving: Serving, query: str) -> None:
    found = problem(serving, f"{RANKING}?{query}", 422)
    assert found["field"] == query.partition("=")[0]
    assert found["available"] == {
        "task": ["i2v", "t2v"],
        "audience": ["teens"],
        "locale": ["de", "en"],
        "evidence": ["votes"],
    }


def test_before_the_first_run_the_answer_says_what_to_do(tmp_path: Path, start: Callable[..., Serving]) -> None:
    lake = Lake(tmp_path / "lake")
    server = start(lake.storage.published)
    assert "clapometer load" in problem(server, RANKING, 404)["detail"]
    publish(lake)
    assert "clapometer train" in problem(server, RANKING, 404)["detail"]


@pytest.mark.parametrize("query", ["run=run-x", "as_of=run-x", "as_of=2020-01-01T00:00:00Z"])
def test_a_run_that_is_not_there_is_not_found(serving: Serving, query: str) -> None:
    assert "successful run" in problem(serving, f"{RANKING}?{query}", 404)["detail"]


def test_an_unknown_path_is_a_problem_too(serving: Serving) -> None:
    assert "/docs" in problem(serving, "/v1/rankings", 404)["detail"]
    assert serving.http.delete(RANKING).status_code == 405


def test_a_ranking_carries_what_made_it(serving: Serving) -> None:
    run = serving.get(RANKING).json()["run"]
    assert run["run_id"] == "run-new"
    assert run["rule"]["like"] == 1.0
    assert run["parameters"] == {"min_prompts": 20, "level": 0.95}
    assert run["snapshot"] == {"outcomes": 12, "events": 30}
    assert run["excluded"]["untrusted impression"] == 310
    assert (run["seed"], run["code_version"], run["result_hash"]) == (7, "0.1.0", "abc")
    assert run["finished_at"] == "2026-03-02T11:00:00Z"


def test_the_rows_are_those_of_the_lake(serving: Serving, lake: Lake) -> None:
    ranking = serving.get(RANKING).json()
    with lake.connect() as connection:
        query = """SELECT * EXCLUDE (created_at) FROM rankings
            WHERE run_id = 'run-new' AND subject = 'model_versions' AND segment = 'all' AND rank IS NOT NULL
            ORDER BY rank"""
        stored = connection.sql(query).to_arrow_table().to_pylist()
    assert [row["item"] for row in ranking["rows"]] == [item for item, _ in MODELS]
    for row, expected in zip(ranking["rows"], stored, strict=True):
        ours = {name: value for name, value in row.items() if name not in {"completion_rank", "standing"}}
        assert ours == {name: expected[name] for name in ours}
    rates = [row["completion_rate"] for row in ranking["rows"]]
    assert [row["completion_rank"] for row in ranking["rows"]] == [
        1 + sum(other > rate for other in rates) for rate in rates
    ]


def test_items_without_a_place_come_last_with_their_reason(serving: Serving) -> None:
    ranking = serving.get(RANKING).json()
    assert ranking["unranked"] == [
        {
            "standing": "unranked", "item": "pixel@2", "label": "pixel@2", "impressions": 12, "clips": 2, "votes": None,
            "reason": "it shares too few prompts with other items",
        }
    ]  # fmt: skip
    assert (ranking["total_ranked"], ranking["total_unranked"], ranking["next_offset"]) == (12, 1, None)
    assert ranking["calibrated"], "only items with a place say whether their intervals hold"


def test_pages_together_are_the_whole_ranking(serving: Serving) -> None:
    items, offset = [], 0
    while offset is not None:
        part = serving.get(f"/v1/rankings/prompts?limit=7&offset={offset}").json()
        items += [row["item"] for row in part["rows"]] + [row["item"] for row in part["unranked"]]
        offset = part["next_offset"]
    whole = serving.get("/v1/rankings/prompts").json()
    assert items == [row["item"] for row in whole["rows"]] + ["p900"]
    assert len(items) == 41


def test_past_the_end_there_is_nothing(serving: Serving) -> None:
    part = serving.get(f"{RANKING}?offset=500").json()
    assert (part["rows"], part["unranked"], part["next_offset"]) == ([], [], None)


def test_a_filter_gives_the_ranking_of_that_segment(serving: Serving) -> None:
    ranking = serving.get(f"{RANKING}?task=i2v").json()
    assert (ranking["segment"], ranking["segment_value"], ranking["total_ranked"]) == ("task", "i2v", 7)


@pytest.mark.parametrize(
    ("query", "run"),
    [
        ("as_of=2026-03-02T10:59:59Z", "run-old"),
        ("as_of=2026-03-02T11:00:00Z", "run-new"),
        ("as_of=2026-03-02T13:59:59%2B03:00", "run-old"),
        ("as_of=2026-03-02T13:59:59+03:00", "run-old"),
        ("as_of=run-old", "run-old"),
        ("run=run-old", "run-old"),
    ],
)
def test_a_ranking_can_be_seen_as_it_was(serving: Serving, query: str, run: str) -> None:
    assert serving.get(f"{RANKING}?{query}").json()["run"]["run_id"] == run


def test_an_unchanged_ranking_is_not_sent_again(serving: Serving) -> None:
    tag = serving.get(RANKING).headers["etag"]
    for quoted in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = serving.get(RANKING, if_none_match=quoted)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert serving.get(RANKING, if_none_match='"other"').status_code == 200
    for other in ("?task=t2v", "?limit=5", "?offset=1", "?run=run-old"):
        assert serving.get(RANKING + other).headers["etag"] != tag


def test_a_failed_run_leaves_the_last_good_ranking_and_says_so(own_lake: Lake, start: Callable[..., Serving]) -> None:
    server = start(own_lake.storage.published)
    fresh = server.get(RANKING)
    assert (fresh.json()["stale"], fresh.json()["stale_reason"]) == (False, None)
    add_failed_run(own_lake, "run-bad", "no outcome has a trusted token")
    publish(own_lake)
    stale = server.get(RANKING, if_none_match=fresh.headers["etag"])
    assert stale.json()["run"]["run_id"] == "run-new"
    assert (stale.json()["stale"], stale.json()["stale_reason"]) == (True, "no outcome has a trusted token")
    assert not server.get(f"{RANKING}?run=run-new").json()["stale"], "who asks for a run gets what was asked for"
    add_run(own_lake, "run-good", NOW + HOUR)
    publish(own_lake)
    assert (server.get(RANKING).json()["stale"], server.get(RANKING).json()["run"]["run_id"]) == (False, "run-good")


def test_without_logged_exposure_the_ranking_says_it_is_not_calibrated(
    tmp_path: Path, start: Callable[..., Serving]
) -> None:
    lake = Lake(tmp_path / "lake")
    add_run(lake, "run-c", tier="C", calibrated=False)
    publish(lake)
    ranking = start(lake.storage.published).get(RANKING).json()
    assert (ranking["tier"], ranking["calibrated"]) == ("C", False)
    (note,) = ranking["notes"]
    assert note.startswith("Tier C: no logged exposure; these intervals are not calibrated.")
    assert "the places that the data allow, and the chances of being the best, are not known" in note
    assert [row["rank"] for row in ranking["rows"]] == [*range(1, len(ranking["rows"]) + 1)]
    assert {row[name] for row in ranking["rows"] for name in ("rank_low", "rank_high", "p_best")} == {None}


def test_labels_are_handed_on_as_they_are(serving: Serving) -> None:
    labels = [row["label"] for row in serving.get("/v1/rankings/prompts").json()["rows"]]
    assert EVIL in labels


def test_keys_read_their_own_tenant_and_others_nothing_of_it(serving: Serving) -> None:
    assert serving.get(RANKING, SECRET).json()["run"]["run_id"] == "run-new"
    assert serving.get(RANKING, OTHER_SECRET).status_code == 404
    assert serving.get(RANKING, PUBLISHABLE).status_code == 403
    assert serving.get(RANKING, "csk_wrong").status_code == 401


def test_without_a_public_tenant_every_reader_needs_a_key(lake: Lake, start: Callable[..., Serving]) -> None:
    server = start(lake.storage.published, ServingConfig(public_tenant=None))
    for path in (RANKING, "/v1/compare?left=a&right=b", "/"):
        answer = server.get(path)
        assert answer.status_code == 401
        assert "Basic" in answer.headers["www-authenticate"]
    assert server.get(RANKING, SECRET).status_code == 200
    assert server.get(RANKING, x_api_key=SECRET).status_code == 200
    assert server.http.get("/", auth=("anybody", SECRET)).status_code == 200
    assert server.get("/", authorization="Basic !").status_code == 401
    assert server.get("/healthz").status_code == 200


def test_times_in_answers_have_a_zone(serving: Serving) -> None:
    started = dt.datetime.fromisoformat(serving.get(RANKING).json()["run"]["started_at"])
    assert started.tzinfo is not None


def test_every_answer_has_the_security_headers(serving: Serving) -> None:
    for path in ("/", RANKING, "/v1/nothing", "/healthz", "/static/style.css"):
        headers = serving.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path


def test_metrics_count_answers_by_route_and_never_by_path(serving: Serving) -> None:
    serving.get(RANKING)
    serving.get("/v1/some/made/up/path")
    text = serving.get("/metrics").text
    assert 'clapometer_serving_requests_total{route="/v1/rankings/{subject}",status="200"}' in text
    assert "made/up" not in text
    assert "clapometer_serving_lake_age_seconds" in text


def measured(server: Serving) -> dict[str, float]:
    """Returns the metrics without labels."""
    lines = [line.split() for line in server.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines if "{" not in name}


def test_metrics_tell_how_old_the_ranking_is_how_long_it_took_and_whose_training_fails_without_names(
    own_lake: Lake, start: Callable[..., Serving]
) -> None:
    server = start(own_lake.storage.published)
    found = measured(server)
    assert found["clapometer_serving_ranking_age_seconds"] == 3600 + 40
    assert found["clapometer_serving_train_seconds"] == 40
    assert found["clapometer_serving_tenants_failing"] == 0
    add(own_lake, "runs", [run_row("r9", NOW, tenant="secret-tenant", status="failed", error="no disk")])
    publish(own_lake)
    found = measured(server)
    assert found["clapometer_serving_tenants_failing"] == 1
    assert found["clapometer_serving_ranking_age_seconds"] == 3640, "a failed run makes no ranking younger"
    assert "secret-tenant" not in server.get("/metrics").text


def test_before_the_first_publication_metrics_say_nothing_of_training(
    tmp_path: Path, start: Callable[..., Serving]
) -> None:
    assert not [name for name in measured(start(tmp_path / "none.duckdb")) if "ranking_age" in name or "train" in name]


def test_the_state_of_the_process_can_be_asked(serving: Serving, tmp_path: Path, start: Callable[..., Serving]) -> None:
    assert serving.get("/healthz").json() == {"status": "ok"}
    assert serving.get("/readyz").json() == {"status": "ready", "lake": "open"}
    assert start(tmp_path / "none.duckdb").get("/readyz").json() == {"status": "ready", "lake": "not published yet"}


@pytest.mark.parametrize("path", ["model_versions", "prompts?limit=7&offset=3", "model_versions?locale=de"])
def test_the_sql_in_the_answer_gives_its_numbers_in_any_duckdb(serving: Serving, lake: Lake, path: str) -> None:
    ranking = serving.get(f"/v1/rankings/{path}").json()
    with duckdb.connect(str(lake.storage.published), read_only=True) as file:
        found = file.sql(ranking["reproduction"]["sql"]).to_arrow_table().to_pylist()
    said = {**{row["item"]: row for row in ranking["rows"]}, **{row["item"]: row for row in ranking["unranked"]}}
    assert [row["item"] for row in found] == list(said)
    for row in found:
        for column in ("rank", "effect", "effect_low", "effect_high", "value", "impressions", "completion_rate"):
            assert said[row["item"]].get(column, row[column]) == row[column]


def test_serving_is_not_ready_while_the_published_file_is_gone_and_answers_from_what_it_knows(own_lake, start):
    serving = start(own_lake.storage.published)
    assert serving.get("/readyz").status_code == 200
    own_lake.storage.published.unlink()
    answer = serving.get("/readyz")
    assert (answer.status_code, "the published file is gone" in answer.json()["detail"]) == (503, True)
    assert serving.get(RANKING).status_code == 200
    publish(own_lake)
    assert serving.get("/readyz").json() == {"status": "ready", "lake": "open"}


@pytest.mark.parametrize(("trusted", "statuses"), [((), [200, 429, 429]), (("127.0.0.1",), [200, 200, 429])])
def test_only_trusted_proxies_say_whose_request_it_is(lake, start, trusted, statuses):
    rates = Rates({"address": "1/day"})
    serving = start(lake.storage.published, rates=rates, proxies=TrustedProxies(trusted))
    path = "/v1/rankings/model_versions"
    got = [
        serving.get(path, x_forwarded_for=address).status_code for address in ["9.9.9.9", "6.6.6.6, 8.8.8.8", "9.9.9.9"]
    ]
    assert got == statuses
