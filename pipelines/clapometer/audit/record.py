"""What attacks came to goes into the lake, for the page and for whoever asks later."""

from __future__ import annotations

import datetime as dt

import msgspec
import pyarrow as pa

from clapometer.audit.findings import AuditReport
from clapometer.lake.published.publish import publish
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake

__all__ = ["record_attack"]


def record_attack(lake: Lake, report: AuditReport, now: dt.datetime) -> None:
    """Adds what a report says of attacks to ``audits``, and publishes it."""
    rows = [
        {
            "run_id": report.run_id, "tenant": report.tenant, "audited_at": now, "check": each.check,
            "subject": each.subject, "status": each.status, "found": each.found, "advice": each.advice,
            "numbers": msgspec.json.encode(each.numbers).decode(),
        }
        for each in report.findings
        if each.check == "attack"
    ]  # fmt: skip
    lake.append("audits", pa.Table.from_pylist(rows, schema=TABLES["audits"][0]))
    publish(lake)
