"""The documentation is what the server does."""

from typing import Any

import jsonschema_rs
import pytest
from tests.unit.serving.running import SECRET, Serving


@pytest.fixture(scope="module")
def document(serving: Serving) -> dict[str, Any]:
    found: dict[str, Any] = serving.get("/openapi.json").json()
    return found


def check(answer: object, schema: dict[str, Any]) -> None:
    jsonschema_rs.validate(schema, answer)


def schema_of(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    content = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]
    return {**content["schema"], "components": document["components"]}


@pytest.mark.parametrize("subject", ["model_versions", "prompts", "templates"])
def test_rankings_are_as_documented(serving: Serving, document: dict[str, Any], subject: str) -> None:
    check(serving.get(f"/v1/rankings/{subject}").json(), schema_of(document, "/v1/rankings/{subject}", "get"))


@pytest.mark.parametrize("right", ["aurora@2", "pixel@2"])
def test_comparisons_are_as_documented(serving: Serving, document: dict[str, Any], right: str) -> None:
    found = serving.get(f"/v1/compare?left=kite@3.1&right={right}").json()
    check(found, schema_of(document, "/v1/compare", "get"))


def test_the_example_of_a_slate_can_be_sent_as_it_stands(serving: Serving, document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/slates"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = serving.http.post("/v1/slates", json=example, headers={"authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 200
    check(answer.json(), schema_of(document, "/v1/slates", "post"))


def test_refusals_are_as_documented(serving: Serving, document: dict[str, Any]) -> None:
    problem = {**document["components"]["schemas"]["Problem"], "components": document["components"]}
    for path in ("/v1/rankings/model_versions?task=x", "/v1/compare", "/v1/nothing"):
        check(serving.get(path).json(), problem)


def test_every_documented_parameter_is_taken(serving: Serving, document: dict[str, Any]) -> None:
    values = {"limit": "5", "offset": "0", "run": "run-new", "as_of": "run-new", "audience": "teens", "task": "t2v"}
    for parameter in document["paths"]["/v1/rankings/{subject}"]["get"]["parameters"]:
        if parameter["in"] == "query":
            answer = serving.get(
                f"/v1/rankings/model_versions?{parameter['name']}={values.get(parameter['name'], 'x')}"
            )
            assert "unknown parameter" not in answer.text


def test_the_pages_of_the_documentation_come_from_here(serving: Serving) -> None:
    page = serving.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!doctype", "")
    assert serving.get("/docs/static/swagger-ui-bundle.js").status_code == 200
