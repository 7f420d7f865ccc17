"""Serving as it runs in production: uvicorn on a port of its own, over a real published lake."""

import datetime as dt
import hashlib
import socket
import threading
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import msgspec
import uvicorn
from prometheus_client import CollectorRegistry
from tests.support.waiting import until
from tests.unit.serving.sample_lake import NOW

from clapometer.gate import ApiKey, Gate, KeyKind, KeyRing, TrustedProxies, new_key
from clapometer.serving import ServingConfig, create_app, uvicorn_config

TOKEN_ID, TOKEN_SECRET = "t1", b"a secret for impression tokens, 32 bytes or more"
SECRET, OTHER_SECRET, PUBLISHABLE = "csk_default", "csk_other", "cpk_public"
OTHER_PUBLISHABLE, OF_A_PAGE = "cpk_elsewhere", "cpk_ofapage"


def known(key: str, kind: KeyKind, tenant: str) -> ApiKey:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return ApiKey(id=key.partition("_")[2], kind=kind, sha256=digest, created=NOW, tenant=tenant)


SIGNING, SIGNING_RECORD = new_key("secret", now=NOW, tenant="default", signs=True)
KEYS = [
    known(SECRET, "secret", "default"),
    known(OTHER_SECRET, "secret", "other"),
    known(PUBLISHABLE, "publishable", "default"),
    known(OTHER_PUBLISHABLE, "publishable", "other"),
    msgspec.structs.replace(known(OF_A_PAGE, "publishable", "default"), origins=("https://player.example",)),
    SIGNING_RECORD,
]


class Serving:
    """A running server; ``now`` is its clock."""

    def __init__(
        self,
        published: Path,
        config: ServingConfig | None = None,
        seed: int = 1,
        *,
        proxies: TrustedProxies | None = None,
        **gate: Any,
    ) -> None:
        self.now = NOW
        self.secrets = {TOKEN_ID: TOKEN_SECRET}
        """The last one signs."""
        registry = CollectorRegistry()
        config = config or ServingConfig(refresh_seconds=0)
        app = create_app(
            config,
            published=published,
            gate=Gate(KeyRing(KEYS), **gate),
            token_key=lambda: next(reversed(self.secrets.items())),
            token_keys=self.secrets,
            clock=self.clock,
            random=Random(seed),
            version="0.1.0",
            registry=registry,
        )
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn_config(app, config, proxies=proxies, registry=registry))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        until(lambda: self._server.started)
        self.http = httpx2.Client(base_url=self.url, timeout=120, trust_env=False)

    def clock(self) -> dt.datetime:
        return self.now

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def get(self, path: str, key: str | None = None, **headers: str) -> httpx2.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            given["authorization"] = f"Bearer {key}"
        return self.http.get(path, headers=given)

    def voucher(self, key: str = SECRET, **request: Any) -> str:
        """Returns what the platform's server gives to the page of a viewer."""
        headers = {"authorization": f"Bearer {key}"}
        answer = self.http.post("/v1/sessions", json={"viewer_id": "v1", **request}, headers=headers)
        assert answer.status_code == 200, answer.text
        voucher: str = answer.json()["voucher"]
        return voucher

    def slate(self, key: str | None = SECRET, voucher: str | None = None, **request: Any) -> httpx2.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        if voucher is not None:
            headers["clapometer-voucher"] = voucher
        return self.http.post("/v1/slates", json={"viewer_id": "v1", **request}, headers=headers)
