"""Messages as the official CloudEvents SDKs make them; see ``tests/golden/cloudevents``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clapometer.domain import Event
from clapometer.domain.events import Watched

_FOLDER = Path(__file__).parents[1] / "golden" / "cloudevents"


@dataclass(frozen=True)
class Message:
    """A message of an SDK; ``headers`` and ``body`` are as they travel."""

    sdk: str
    transport: str
    mode: str
    headers: list[tuple[str, bytes]]
    body: bytes
    key: bytes | None

    def __str__(self) -> str:
        """Returns a name for tests."""
        return f"{self.sdk} {self.transport} {self.mode}"


def messages(transport: str) -> list[Message]:
    """Returns all messages that go over a transport."""
    found = []
    for path in sorted(_FOLDER.glob("*.json")):
        made: dict[str, Any] = json.loads(path.read_text())
        for each in made["messages"]:
            headers = [(name, value.encode()) for name, value in each["headers"].items()]
            key = each["key"].encode() if "key" in each else None
            found.append(Message(made["sdk"], each["transport"], each["mode"], headers, each["body"].encode(), key))
    return [message for message in found if message.transport == transport]


def assert_understood(event: Event) -> None:
    """Fails unless an event is the one of which all the messages are."""
    assert isinstance(event, Watched)
    assert event.id in {"new", "old", "bytes", "js"}
    assert event.source in {"/shop/süd €", "/shop/sued"}
    assert (event.data.impression_id, event.data.watched_ms, event.data.end_reason) == ("i-1", 8000, None)
