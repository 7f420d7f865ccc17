"""The OpenAPI document is true: every example in it is accepted, every event type is in it."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from tests.unit.collector.conftest import Collector

from clapometer.collector import event_examples
from clapometer.domain import EVENT_TYPES
from clapometer.lake.published.catalogue import column_comment

NAMES = [str(kind.__struct_config__.tag).split(".")[1] for kind in EVENT_TYPES]


def operation(collector: Collector, path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = collector.http.get("/openapi.json").json()["paths"][path][method]
    return found


@pytest.mark.parametrize("name", [*NAMES, "all"])
@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents+json"])
def test_every_example_is_accepted_as_it_stands(collector: Collector, name: str, content_type: str) -> None:
    examples = operation(collector, "/v1/events", "post")["requestBody"]["content"][content_type]["examples"]
    if name not in examples:
        assert (name, content_type) == ("all", "application/cloudevents+json")  # which holds a single event
        return
    answer = collector.post(examples[name]["value"], content_type=content_type)
    assert answer.json() == {"accepted": len(NAMES) if name == "all" else 1, "rejected": [], "warnings": []}


@pytest.mark.parametrize(
    ("method", "path"), [("put", "/v1/clips/{clip_id}"), ("post", "/v1/clips/{clip_id}/withdrawal")]
)
def test_the_examples_of_resources_are_accepted_as_they_stand(collector: Collector, method: str, path: str) -> None:
    body = operation(collector, path, method)["requestBody"]["content"]["application/json"]["example"]
    headers = {"authorization": f"Bearer {collector.secret}"}
    answer = collector.http.request(method.upper(), path.replace("{clip_id}", "c"), json=body, headers=headers)
    assert answer.status_code == 202


def test_every_event_type_and_every_reference_is_in_the_document(collector: Collector) -> None:
    document = collector.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {kind.__name__ for kind in EVENT_TYPES} <= set(schemas)
    references = set(_references(document))
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= set(schemas)
    assert document["openapi"].startswith("3.1")


def test_the_page_and_all_it_needs_come_from_here(collector: Collector) -> None:
    page = collector.http.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "LICENSE"):
        assert collector.http.get(f"/docs/static/{name}").status_code == 200
    assert collector.http.get("/docs/static/../app.py").status_code == 404
    assert collector.http.get("/docs/static/..%2fapp.py").status_code == 404


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


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


def test_every_property_and_parameter_says_what_it_is(collector: Collector) -> None:
    document = collector.http.get("/openapi.json").json()
    found = [*parts(document["components"]["schemas"]), *parts(document["paths"])]
    assert len(found) > 150
    assert [name for name, property_ in found if not property_.get("description")] == []
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert all(parameter.get("description") for parameter in operation.get("parameters", []))


def test_every_answer_has_an_example_that_is_as_documented(collector: Collector) -> None:
    document = collector.http.get("/openapi.json").json()
    seen = 0
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                for media, told in answer["content"].items():
                    assert "example" in told, f"{path} {status} {media}"
                    jsonschema_rs.validate({**told["schema"], "components": document["components"]}, told["example"])
                    seen += 1
    assert seen > 30


def test_real_answers_are_as_documented(collector: Collector) -> None:
    document = collector.http.get("/openapi.json").json()
    for body, status in ((list(event_examples(collector.now).values()), 202), ([{}], 422), (b"no", 422)):
        answer = collector.post(body)
        assert answer.status_code == status
        (content,) = operation(collector, "/v1/events", "post")["responses"][str(status)]["content"].values()
        jsonschema_rs.validate({**content["schema"], "components": document["components"]}, answer.json())


def test_fields_are_described_in_the_words_of_the_lake(collector: Collector) -> None:
    schemas = collector.http.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Lineage"]["properties"]["batch_id"]["description"] == column_comment("events", "lineage_batch_id")
    impression = schemas["ImpressionData"]["properties"]
    assert impression["propensity"]["description"] == column_comment("events", "propensity")


def test_an_event_with_any_attribute_that_cloudevents_allows_is_as_documented(collector: Collector) -> None:
    document = collector.http.get("/openapi.json").json()
    schema = {"$ref": "#/components/schemas/Event", "components": document["components"]}
    event = event_examples(collector.now)["watched"]
    jsonschema_rs.validate(schema, {**event, "tracestate": "a=b", "datacontenttype": "application/json; charset=utf-8"})
    assert not jsonschema_rs.is_valid(schema, {**event, "sentAt": "x"})
    assert not jsonschema_rs.is_valid(schema, {**event, "data": {**event["data"], "emoji": 1}})
