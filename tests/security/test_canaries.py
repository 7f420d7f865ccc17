"""No secret leaves the services but to whom it belongs: not by logs, answers, metrics, or what is stored."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.fuzz.bodies import SERVED, Keys, Mutator
from tests.fuzz.servers import Servers
from tests.fuzz.wire import Asked, Connection
from tests.support.waiting import until
from tests.unit.collector.test_signed_requests import by_hand

PASSWORD = "canary-password-5f1d0c"  # of the storage of rates, which is away


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    settings = {
        "log_level": "debug", "log_format": "json", "sql_seconds": 5, "rate_secret": "1000000/second",
        "rate_storage": f"redis://:{PASSWORD}@127.0.0.1:1/0",
    }  # fmt: skip
    with Servers(tmp_path_factory.mktemp("canaries"), **settings) as running:
        yield running


def secrets_of(servers: Servers) -> dict[str, bytes]:
    """Returns what must not be found anywhere, by name: the secret part of each key, of tokens, of the storage."""
    folder = Path(servers.environment["CLAPOMETER_KEYS_FILE"]).parent
    given = {
        name: getattr(servers, name).split("_", 2)[2].encode() for name in ("secret", "publishable", "signing", "rival")
    }
    tokens = json.loads((folder / "tokens.json").read_bytes())["keys"]
    signing = [key["signing"] for key in json.loads((folder / "keys.json").read_bytes())["keys"] if "signing" in key]
    hashes = [key["sha256"] for key in json.loads((folder / "keys.json").read_bytes())["keys"]]
    texts = {f"token {name}": secret.encode() for name, secret in tokens.items()}
    texts |= {f"hash {n}": digest.encode() for n, digest in enumerate(hashes)}
    raw = {f"token {name}, raw": bytes.fromhex(secret) for name, secret in tokens.items()}
    encoded = {f"{name} in base64": base64.b64encode(value)[:-4] for name, value in given.items()}
    return given | texts | raw | encoded | {"hex": signing[0].encode(), "password": PASSWORD.encode()}


def bad_requests(servers: Servers) -> Iterator[tuple[str, Asked]]:
    """Yields requests of all routes that bear secrets in every place where somebody may put one."""
    for key in (servers.secret, servers.publishable, servers.signing, servers.rival, servers.secret + "x"):
        sent, basic = key.encode(), base64.b64encode(f"user:{key}".encode())
        ways: list[tuple[bytes, tuple[tuple[bytes, bytes], ...]]] = [
            (b"", ((b"authorization", b"Bearer " + sent),)), (b"", ((b"x-api-key", sent),)),
            (b"", ((b"authorization", b"Basic " + basic),)), (b"?key=" + sent, ()),
            (b"", ((b"authorization", b"Bearer " + sent), (b"authorization", b"Bearer x"))),
            (b"", ((b"cookie", b"k=" + sent), (b"traceparent", sent))), (b"?run=x&unknown=1", ((b"x-api-key", sent),)),
            (b"", ((b"x-api-key", sent), (b"x-api-key", sent + b"y"))),
        ]  # fmt: skip
        for query, headers in ways:
            for part, method, path in ROUTES:
                for body in (b"", b"{", b'{"sql":"SELECT 1/0","viewer_id":"v","candidates":["a"]}'):
                    media = (b"content-type", b"application/json")
                    yield part, Asked(method, path, path.encode() + query, (*headers, media), body)
    for part, method, path in ROUTES:
        headers = by_hand(servers.signing, method, path, b"{")
        signed = tuple((name.encode(), value.encode()) for name, value in headers.items())
        yield part, Asked(method, path, path.encode(), signed, b"{")
        yield part, Asked(method, path, path.encode(), signed, b"{}")


ROUTES = [
    ("collect", "POST", "/v1/events"), ("collect", "PUT", "/v1/clips/c"), ("collect", "POST", "/v1/clips/c/withdrawal"),
    ("collect", "DELETE", "/v1/viewers/v"), ("collect", "GET", "/nothing"), ("collect", "GET", "/readyz"),
    ("serve", "GET", "/"), ("serve", "GET", "/v1/rankings/prompts"), ("serve", "GET", "/v1/compare"),
    ("serve", "POST", "/v1/slates"), ("serve", "GET", "/nothing"), ("serve", "PUT", "/v1/slates"),
]  # fmt: skip


def test_no_secret_is_in_logs_answers_metrics_or_what_is_stored(servers: Servers) -> None:
    canaries = secrets_of(servers)
    asked = list(bad_requests(servers))
    mutator = Mutator(Keys(servers.secret, servers.publishable), 7)
    asked += [
        ("serve" if one.operation in SERVED else "collect", one) for one in (mutator.request() for _ in range(500))
    ]
    leaks, statuses = set(), set()
    with closing(Connection(servers.collector.port)) as collector, closing(Connection(servers.serving.port)) as serving:
        answered = [(part, one, (collector if part == "collect" else serving).ask(one)) for part, one in asked]
    for part, request, answer in answered:
        statuses.add(answer.status)
        whole = answer.body + b"".join(name + value for name, value in answer.headers.items())
        leaks |= {(name, part, request.target) for name, canary in canaries.items() if canary in whole}
    assert leaks == set()
    assert {200, 202, 400, 401, 403, 404, 405, 415, 422} <= statuses
    assert len(asked) > 1_000
    for server in (servers.collector, servers.serving):
        page = server.get("/metrics")
        assert [name for name, canary in canaries.items() if canary in page] == []


def test_no_secret_is_in_the_logs_of_a_service_whose_files_break(servers: Servers) -> None:
    canaries = secrets_of(servers)
    keys = Path(servers.environment["CLAPOMETER_KEYS_FILE"])
    tokens, content = keys.with_name("tokens.json"), keys.read_bytes()
    kept = tokens.read_bytes()
    lake = Path(servers.environment["CLAPOMETER_LAKE"]) / "clapometer.duckdb"
    published = lake.read_bytes()
    key = ((b"authorization", b"Bearer " + servers.secret.encode()),)

    def broken_keys_are_told() -> bool:
        with closing(Connection(servers.collector.port)) as connection:
            connection.ask(Asked("POST", "/v1/events", b"/v1/events", key, b"["))
            answer = connection.ask(Asked("GET", "/readyz", b"/readyz", (), b""))
        assert [name for name, canary in canaries.items() if canary in answer.body] == []
        return answer.status == 200 and b"the last good API keys are in force" in answer.body

    try:
        keys.write_bytes(content[:-20])
        tokens.write_bytes(kept[:-20])
        lake.with_name("broken").write_bytes(b"no database")
        lake.with_name("broken").replace(lake)
        until(broken_keys_are_told, every=0.1)
        slate = Asked("POST", "/v1/slates", b"/v1/slates", key, b'{"viewer_id":"v","candidates":["a"]}')
        page = Asked("GET", "/", b"/", key, b"")
        with closing(Connection(servers.serving.port)) as connection:
            found = [connection.ask(slate), connection.ask(page)]
        assert [name for name, canary in canaries.items() for one in found if canary in one.body] == []
    finally:
        keys.write_bytes(content)
        tokens.write_bytes(kept)
        lake.write_bytes(published)
    logs = "".join(server.log() for server in (servers.collector, servers.serving)).encode()
    assert b"counted by each process for itself" in logs
    assert [name for name, canary in canaries.items() if canary in logs] == []
    folder = keys.parent
    private = {keys, tokens}
    held = keys.read_bytes() + tokens.read_bytes()
    assert sum(canary in held for canary in canaries.values()) > 5  # what is looked for does exist
    for path in (path for path in folder.rglob("*") if path.is_file() and path not in private):
        stored = path.read_bytes()
        assert [(name, path.name) for name, canary in canaries.items() if canary in stored] == []
