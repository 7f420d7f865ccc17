"""What the tests of the player SDK share: clips, a site that shows them, and the way to the collector."""

import dataclasses
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from tests.support.waiting import until
from tests.unit.collector.conftest import Collector

SDK = Path(__file__).parents[2] / "sdk" / "js"
PAGE = "<!doctype html><meta charset=utf-8><title>player</title><video muted preload=auto></video>"
NEAR_MS = 100
FASTEST = 4
"""How often a script's clip is played in the time of one, most of the time."""
TRUTH = Path(__file__).with_name("truth.js")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--autoplay-policy=no-user-gesture-required", "--mute-audio"]  # fmt: skip
LOST = Response(status_code=502)
"""An answer that no page may read: to it, the request failed."""


def film(path: Path, seconds: float) -> Path:
    """Makes a clip with picture and sound, in a format that goes with the name, and returns its path."""
    codecs = {
        ".webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libvorbis"],
        ".mp4": ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"],
    }
    subprocess.run(
        [
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=128x72:rate=25",
            "-f", "lavfi", "-i", "sine=frequency=440", "-t", str(seconds), "-g", "25", *codecs[path.suffix], str(path),
        ],
        check=True,
    )  # fmt: skip
    return path


class Serving:
    """A web application on an address that stays the same while it is stopped and started."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it takes connections."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, log_level="error", lifespan="off", interface="asgi3", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        until(lambda: self._server.started)

    def stop(self) -> None:
        """Closes its connections and takes no more."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join()


def site(clips: Path) -> Serving:
    """Serves the SDK, clips, and a page with a player everywhere under ``/page/``."""

    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    routes = [
        Route("/page/{name}", page),
        Mount("/clips", StaticFiles(directory=clips)),
        Mount("/", StaticFiles(directory=SDK)),
    ]
    return Serving(Starlette(routes=routes))


@dataclasses.dataclass(frozen=True)
class Passed:
    """A request as it came by."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of its body."""
        return list(msgspec.json.decode(self.body))


class Way:
    """The way from pages to the collector: what went by, and what a test puts in it.

    Attributes:
        passed: Requests, in order.
        obstacle: Returns an answer in the collector's place, or nothing.
        returning: Returns an answer in place of that of the collector, which took the request, or nothing.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.key = collector.publishable
        self.passed: list[Passed] = []
        self.obstacle: Callable[[Passed], Response | None] = lambda _: None
        self.returning: Callable[[Passed], Response | None] = lambda _: None
        self.serving = Serving(self._answer)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        passed = Passed(request.method, request.url.path, dict(request.headers), await request.body())
        self.passed.append(passed)
        answer = self.obstacle(passed)
        if answer is None:
            taken = await self._forward(request, passed)
            answer = self.returning(passed) or taken
        await answer(scope, receive, send)

    async def _forward(self, request: Request, passed: Passed) -> Response:
        address = f"http://127.0.0.1:{self._collector.port}{request.url.path}?{request.url.query}"
        given = {name: value for name, value in passed.headers.items() if name not in ("host", "connection")}
        async with httpx2.AsyncClient(trust_env=False) as client:
            taken = await client.request(passed.method, address, headers=given, content=passed.body)
        return Response(taken.content, taken.status_code, dict(taken.headers))

    def beacons(self) -> list[Passed]:
        """Returns the requests that leaving pages sent."""
        return [passed for passed in self.passed if passed.headers.get("content-type") == "text/plain"]

    def requests(self) -> list[Passed]:
        """Returns the requests that wait for an answer."""
        return [passed for passed in self.passed if passed.headers.get("content-type") == "application/json"]


def stored(collector: Collector, kind: str) -> list[dict[str, Any]]:
    """Returns the data of the collector's events of a kind, in order, those that came twice once."""
    events = [msgspec.json.decode(line) for block in collector.blocks() for line in block.events]
    ours = {event["id"]: event["data"] for event in events if event["type"] == f"clapometer.{kind}.v1"}
    return list(ours.values())


def near(truth: dict[str, Any]) -> float:
    """Returns how far a report may be from the truth: a tenth of a second, and what the machine kept the page from."""
    return NEAR_MS + FASTEST * float(truth["hung_ms"])


def begin(page: Any, way: Way, **options: object) -> None:
    """Makes ``clapometer`` in a page; problems that it reports land in ``problems``."""
    given = {"url": way.serving.address, "key": way.key, "viewerId": "v1", "flushMs": 50, **options}
    page.evaluate(
        """async (options) => {
          const sdk = await import("/clapometer.js");
          window.sdk = sdk;
          window.problems = [];
          window.clapometer = new sdk.Clapometer({ ...options, onProblem: (problem) => problems.push(problem) });
        }""",
        given,
    )


def load(page: Any, clip: str = "clip.webm") -> None:
    """Puts a clip into the page's ``video``, ready to play, and a `Truth` about it into ``truth``."""
    page.evaluate(f"() => {{ window.Truth = {TRUTH.read_text()} }}")
    page.evaluate(
        """async (clip) => {
          window.video = document.querySelector("video");
          video.src = `/clips/${clip}`;
          await new Promise((done) => (video.oncanplaythrough = done));
          video.oncanplaythrough = null;
          window.truth = new Truth(video);
        }""",
        clip,
    )
