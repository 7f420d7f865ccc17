"""What every service answers in the same way: about itself, in its documentation, and to whom it refuses."""

from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs
import pytest


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


def references(node: object) -> Iterator[str]:
    """Yields the name of every schema that a document refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix("#/components/schemas/")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def check(document: dict[str, Any], answer: object, schema: dict[str, Any]) -> None:
    """Fails unless an answer is as its schema in the document says."""
    jsonschema_rs.validate({**schema, "components": document["components"]}, answer)


class HttpEdgeContract:
    """Subclasses give ``edge``, a client of a running service."""

    @pytest.fixture
    def edge(self) -> httpx2.Client:
        raise NotImplementedError

    @pytest.fixture
    def document(self, edge: httpx2.Client) -> dict[str, Any]:
        found: dict[str, Any] = edge.get("/openapi.json").json()
        return found

    def test_the_document_is_openapi_and_has_every_schema_that_it_refers_to(self, document: dict[str, Any]) -> None:
        assert document["openapi"].startswith("3.1")
        assert set(references(document)) <= set(document["components"]["schemas"])

    def test_every_property_and_parameter_says_what_it_is(self, document: dict[str, Any]) -> None:
        found = [*parts(document["components"]["schemas"]), *parts(document["paths"])]
        assert len(found) > 100
        assert [name for name, property_ in found if not property_.get("description")] == []
        for operations in document["paths"].values():
            for operation in operations.values():
                assert operation["summary"]
                assert all(parameter.get("description") for parameter in operation.get("parameters", []))

    def test_every_answer_has_an_example_that_is_as_documented(self, document: dict[str, Any]) -> None:
        seen = 0
        for path, operations in document["paths"].items():
            for operation in operations.values():
                for status, answer in operation["responses"].items():
                    content = answer.get("content", {})
                    assert content or status == "304", f"{path} {status}"
                    for media, told in content.items():
                        if told["schema"].get("format") == "binary":
                            continue
                        assert "example" in told, f"{path} {status} {media}"
                        check(document, told["example"], told["schema"])
                        if media == "application/problem+json":
                            assert told["example"]["status"] == int(status)
                        seen += 1
        assert seen > 30

    def test_the_page_of_the_documentation_and_all_it_needs_come_from_here(self, edge: httpx2.Client) -> None:
        page = edge.get("/docs")
        assert page.status_code == 200
        assert "//" not in page.text.replace("<!doctype", "")
        for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "LICENSE"):
            assert edge.get(f"/docs/static/{name}").status_code == 200
        assert edge.get("/docs/static/../app.py").status_code == 404
        assert edge.get("/docs/static/..%2fapp.py").status_code == 404

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    def test_anybody_may_ask_how_the_service_does_and_no_cache_keeps_it(
        self, edge: httpx2.Client, document: dict[str, Any], path: str
    ) -> None:
        answer = edge.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        told = document["paths"][path]["get"]
        assert told["security"] == []
        (content,) = told["responses"]["200"]["content"].items()
        assert answer.headers["content-type"].startswith(content[0])
        if content[0] == "application/json":
            check(document, answer.json(), content[1]["schema"])

    def test_what_is_not_here_and_what_it_does_not_take_are_problems(
        self, edge: httpx2.Client, document: dict[str, Any]
    ) -> None:
        schema = document["components"]["schemas"]["Problem"]
        for answer, status in ((edge.get("/nothing"), 404), (edge.put("/healthz"), 405)):
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"].endswith("/docs lists what is here")
            check(document, answer.json(), schema)
