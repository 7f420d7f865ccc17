"""The documentation is what the server does."""

from typing import Any

import httpx2
import pytest
from tests.contract.http_edge_contract import HttpEdgeContract, check
from tests.unit.serving.running import SECRET, Serving

from clapometer.lake.published.catalogue import column_comment


class TestTheEdgeOfServing(HttpEdgeContract):
    @pytest.fixture
    def edge(self, serving: Serving) -> httpx2.Client:
        return serving.http


@pytest.fixture(scope="module")
def document(serving: Serving) -> dict[str, Any]:
    found: dict[str, Any] = serving.get("/openapi.json").json()
    return found


def schema_of(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    return found


@pytest.mark.parametrize("subject", ["model_versions", "prompts", "templates"])
def test_rankings_are_as_documented(serving: Serving, document: dict[str, Any], subject: str) -> None:
    check(document, serving.get(f"/v1/rankings/{subject}").json(), schema_of(document, "/v1/rankings/{subject}", "get"))


@pytest.mark.parametrize("right", ["aurora@2", "pixel@2"])
def test_comparisons_are_as_documented(serving: Serving, document: dict[str, Any], right: str) -> None:
    found = serving.get(f"/v1/compare?left=kite@3.1&right={right}").json()
    check(document, found, schema_of(document, "/v1/compare", "get"))


@pytest.mark.parametrize("path", ["/v1/slates", "/v1/sessions"])
def test_the_example_of_a_feeds_request_can_be_sent_as_it_stands(
    serving: Serving, document: dict[str, Any], path: str
) -> None:
    example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = serving.http.post(path, json=example, headers={"authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 200
    check(document, answer.json(), schema_of(document, path, "post"))


def test_refusals_are_as_documented(serving: Serving, document: dict[str, Any]) -> None:
    problem = document["components"]["schemas"]["Problem"]
    for path in ("/v1/rankings/model_versions?task=x", "/v1/compare", "/v1/nothing"):
        check(document, serving.get(path).json(), problem)


def test_every_documented_parameter_is_taken(serving: Serving, document: dict[str, Any]) -> None:
    values = {"limit": "5", "offset": "0", "run": "run-new", "as_of": "run-new", "audience": "teens", "task": "t2v"}
    for parameter in document["paths"]["/v1/rankings/{subject}"]["get"]["parameters"]:
        if parameter["in"] == "query":
            answer = serving.get(
                f"/v1/rankings/model_versions?{parameter['name']}={values.get(parameter['name'], 'x')}"
            )
            assert "unknown parameter" not in answer.text


def test_columns_are_described_in_the_words_of_the_lake(document: dict[str, Any]) -> None:
    standing = document["components"]["schemas"]["Standing"]["properties"]
    for name in ("rank_low", "p_best", "verdict", "fake_reactions_to_top"):
        assert standing[name]["description"] == column_comment("rankings", name)
