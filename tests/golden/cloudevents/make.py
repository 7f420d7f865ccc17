"""Writes python.json, the messages of the Python SDK: ``pip install cloudevents==2.2.0``, then run this file."""

import datetime as dt
import json
from importlib.metadata import version
from pathlib import Path

from cloudevents.core.bindings import http, kafka
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.conversion import to_binary, to_structured
from cloudevents.v1.http import CloudEvent as OldEvent
from cloudevents.v1.kafka import to_binary as old_kafka_binary
from cloudevents.v1.kafka import to_structured as old_kafka_structured

TIME = dt.datetime(2026, 5, 1, 11, 59, tzinfo=dt.UTC)
DATA = {"impression_id": "i-1", "watched_ms": 8000.0, "end_reason": None}
ATTRIBUTES = {
    "specversion": "1.0",
    "type": "clapometer.watched.v1",
    "source": "/shop/süd €",
    "subject": "clip 1",
    "datacontenttype": "application/json; charset=utf-8",
    "dataschema": "https://schemas.example/watched/" + "v" * 300,
    "partitionkey": "clip-1",
    "sequence": "00001",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
}


def message(transport: str, mode: str, headers: object, body: object, key: object = None) -> dict[str, object]:
    """Returns a message as it is kept."""
    written = {name: text(value) for name, value in dict(headers).items()}  # type: ignore[call-overload]
    kept = {"transport": transport, "mode": mode, "headers": written, "body": text(body)}
    return kept | ({} if key is None else {"key": text(key)})


def text(value: object) -> str:
    """Returns bytes or text as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


new = CloudEvent({**ATTRIBUTES, "id": "new", "time": TIME}, DATA)
old = OldEvent({**ATTRIBUTES, "id": "old", "time": TIME.isoformat()}, DATA)
binary = OldEvent({**ATTRIBUTES, "id": "bytes", "time": TIME.isoformat()}, json.dumps(DATA).encode())
messages = []
for mode in ("binary", "structured"):
    sent = getattr(http, f"to_{mode}_event")(new)
    messages.append(message("http", mode, sent.headers, sent.body))
    record = getattr(kafka, f"to_{mode}_event")(new)
    messages.append(message("kafka", mode, record.headers, record.value, record.key))
for mode, convert in (("binary", to_binary), ("structured", to_structured)):
    messages.append(message("http", mode, *convert(old)))
    messages.append(message("http", mode, *convert(binary)))
for mode, convert in (("binary", old_kafka_binary), ("structured", old_kafka_structured)):
    record = convert(old, key_mapper=lambda event: event.get("partitionkey"))
    messages.append(message("kafka", mode, record.headers, record.value, record.key))
made = {"sdk": f"cloudevents {version('cloudevents')} (Python)", "messages": messages}
Path(__file__).with_name("python.json").write_text(json.dumps(made, indent=1) + "\n")
