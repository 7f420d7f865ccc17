#!/bin/sh
# cloudevents 2.2.0 (Python), `cloudevents.v1.kafka.to_structured`: the Kafka record of a structured event has the header
# `content-type` of the event's data, such as application/json, or none at all, although its value is the whole event. By
# CloudEvents' Kafka binding a structured record is told by a content-type of application/cloudevents…, so a reader that
# goes by the binding takes it for a record that is no CloudEvent, or for one in binary mode without attributes.
#
# Who meets it: whoever reads a topic that Python services write. Ours: the record is read by what its value holds;
# tests/golden/cloudevents has the bytes, tests/brokers/test_records_on_a_broker.py sends them through a broker.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0
environment/bin/python - <<'END'
import json

from cloudevents.v1.http import CloudEvent
from cloudevents.v1.kafka import to_structured

attributes = {"type": "shop.sold.v1", "source": "/shop", "id": "1", "time": "2026-11-30T12:00:00Z"}
found = {}
for kind in (None, "application/json", "application/json; charset=utf-8"):
    more = {} if kind is None else {"datacontenttype": kind}
    record = to_structured(CloudEvent({**attributes, **more}, {"price": 3}))
    assert json.loads(record.value)["specversion"] == "1.0"  # the value is the whole event
    found[kind] = record.headers.get("content-type", b"absent").decode()
    print(f"datacontenttype {kind}: content-type of the structured record is {found[kind]}")
same = found == {
    None: "absent",
    "application/json": "application/json",
    "application/json; charset=utf-8": "application/json; charset=utf-8",
}
raise SystemExit(0 if same else "changed")
END
