"""The door alone, without network, gate or log: what a page's key gets past it, and what the rest is told.

`clapometer audit --attack` knocks here, so that what is closed to strangers is found closed by the code that closes it.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from clapometer.collector.config import CollectorConfig
from clapometer.collector.intake.judge import block_of, judge
from clapometer.domain import decode_batch, sign_impression
from clapometer.domain.events import ImpressionData
from clapometer.gate import ApiKey

_TOKENS = dt.timedelta(hours=1)
_KEY_ID = "rehearsal"


@dataclass(frozen=True)
class Entry:
    """What became of the events of a request.

    Attributes:
        block: For the event log.
        weighs: How many of them count.
        why: What is said of the first that does not; empty where all do.
    """

    block: bytes
    weighs: int
    why: str


class Door:
    """Judges as the collector does what a publishable key sends, and hands out tokens as a slate does.

    Args:
        config: What the collector takes.
        tenant: Owner of the key.
    """

    def __init__(self, config: CollectorConfig, tenant: str) -> None:
        self._config = config
        self._secret = secrets.token_bytes(32)
        self._key = ApiKey(
            id=_KEY_ID, kind="publishable", sha256="0" * 64, created=dt.datetime.now(dt.UTC), tenant=tenant
        )

    def token(self, impression: Mapping[str, Any], now: dt.datetime) -> str:
        """Returns the token of an impression that a slate offers."""
        data = msgspec.convert(impression, ImpressionData)
        issued, expires = int(now.timestamp()), int((now + _TOKENS).timestamp())
        signing = {"key_id": _KEY_ID, "secret": self._secret}
        return sign_impression(self._key.tenant, data, **signing, issued=issued, expires=expires)  # type: ignore[arg-type]

    def send(self, events: Iterable[Mapping[str, Any]], now: dt.datetime) -> list[Entry]:
        """Returns what becomes of CloudEvents that are sent at a time, in requests that are not too long."""
        listed = list(events)
        most = self._config.max_events
        return [self._enter(listed[start : start + most], now) for start in range(0, len(listed), most)]

    def _enter(self, events: Sequence[Mapping[str, Any]], now: dt.datetime) -> Entry:
        judged = judge(
            decode_batch(msgspec.json.encode(events), now),
            self._key,
            {_KEY_ID: self._secret},
            now,
            max_browser_age=dt.timedelta(hours=self._config.max_browser_age_hours),
            confirm_purchases=self._config.confirm_purchases,
            answers_need_tokens=self._config.answers_need_tokens,
        )
        told = [*(each.reason for each in judged.rejected), *(each.reason for each in judged.cautions)]
        weighs = len(judged.events) - sum(judged.weightless.values())
        return Entry(block_of(judged, self._key, now, ""), weighs, told[0] if told else "")
