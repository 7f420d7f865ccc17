"""The documentation is what the server does."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from tests.unit.serving.running import SECRET, Serving

from clapometer.lake.published.catalogue import column_comment


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


@pytest.mark.parametrize("path", ["/v1/slates", "/v1/sessions"])
def test_the_example_of_a_feeds_request_can_be_sent_as_it_stands(
    serving: Serving, document: dict[str, Any], path: str
) -> None:
    example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    answer = serving.http.post(path, json=example, headers={"authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 200
    check(answer.json(), schema_of(document, path, "post"))


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


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields every property in a schema, however deep, with its path."""
    if isinstance(schema, dict):
        for name, property_ in schema.get("properties", {}).items():
            yield f"{path}.{name}", property_
        for key, value in schema.items():
            yield from parts(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value, path)


def contents(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields every answer: where it stands, its status, and its content by media type."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                yield f"{method} {path}", status, answer.get("content", {})


def test_every_property_and_parameter_says_what_it_is(document: dict[str, Any]) -> None:
    silent = [name for name, found in parts(document["components"]["schemas"]) if not found.get("description")]
    silent += [name for name, found in parts(document["paths"]) if not found.get("description")]
    assert silent == []
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert all(parameter["description"] for parameter in operation.get("parameters", []))


def test_every_answer_has_an_example_that_is_as_documented(document: dict[str, Any]) -> None:
    seen = 0
    for where, status, content in contents(document):
        assert content or status == "304", f"{where} {status}"
        for media, told in content.items():
            if told["schema"].get("format") == "binary":
                continue
            assert "example" in told, f"{where} {status} {media}"
            check(told["example"], {**told["schema"], "components": document["components"]})
            if media == "application/problem+json":
                assert told["example"]["status"] == int(status)
            seen += 1
    assert seen > 30


def test_columns_are_described_in_the_words_of_the_lake(document: dict[str, Any]) -> None:
    standing = document["components"]["schemas"]["Standing"]["properties"]
    for name in ("rank_low", "p_best", "verdict", "fake_reactions_to_top"):
        assert standing[name]["description"] == column_comment("rankings", name)
