"""The OpenAPI document is true: every example in it is accepted, every event type is in it."""

from typing import Any

import httpx2
import jsonschema_rs
import pytest
from tests.contract.http_edge_contract import HttpEdgeContract
from tests.unit.collector.conftest import Collector

from clapometer.collector import event_examples
from clapometer.domain import EVENT_TYPES
from clapometer.lake.published.catalogue import column_comment

NAMES = [str(kind.__struct_config__.tag).split(".")[1] for kind in EVENT_TYPES]


class TestTheEdgeOfTheCollector(HttpEdgeContract):
    @pytest.fixture
    def edge(self, collector: Collector) -> httpx2.Client:
        return collector.http


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


def test_every_event_type_is_in_the_document(collector: Collector) -> None:
    document = collector.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {kind.__name__ for kind in EVENT_TYPES} <= set(schemas)


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
