"""The OpenAPI document is true: every example in it is accepted, every event type is in it."""

from typing import Any

import pytest
from tests.unit.collector.conftest import Collector

from clapometer.domain import EVENT_TYPES

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
