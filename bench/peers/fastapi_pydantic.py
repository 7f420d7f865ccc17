"""The endpoint one writes by the book: FastAPI, a pydantic union, a dependency for the key, the same event log.

It checks the same fields within the same bounds and answers after the same durable append, so that what differs
is how the collector is built and not what it does. It gives no verdict per event and has none of the limits.
"""

import datetime as dt
import hashlib
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from clapometer.domain import encode_block
from clapometer.eventlog import GroupCommitter
from clapometer.gate import ApiKey

Identifier = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[str, Field(min_length=1, max_length=100)]
ClipMillis = Annotated[int, Field(ge=0, le=21_600_000)]
TotalMillis = Annotated[int, Field(ge=0, le=86_400_000)]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImpressionData(Closed):
    impression_id: Identifier
    clip_id: Identifier
    viewer_id: Identifier
    session_id: Identifier | None = None
    slate_id: Identifier | None = None
    position: Annotated[int, Field(ge=0, le=10_000)] | None = None
    surface: Label | None = None
    policy_id: Label | None = None
    propensity: Annotated[float, Field(gt=0, le=1)] | None = None
    candidates: Annotated[int, Field(ge=1)] | None = None
    explored: bool | None = None
    audience: Label | None = None
    locale: Label | None = None
    device_class: Label | None = None
    muted_start: bool | None = None
    autoplay: bool | None = None
    token: Annotated[str, Field(max_length=1_000)] | None = None


class WatchedData(Closed):
    impression_id: Identifier
    watched_ms: ClipMillis | None = None
    played_segments: list[tuple[ClipMillis, ClipMillis]] | None = None
    total_ms: TotalMillis | None = None
    muted_ms: TotalMillis | None = None
    paused_ms: TotalMillis | None = None
    loops: Annotated[int, Field(ge=0)] | None = None
    max_position_ms: ClipMillis | None = None
    end_reason: Literal["ended", "skipped", "closed", "navigated", "error", "heartbeat"] | None = None


class ReactedData(Closed):
    impression_id: Identifier
    reaction: Literal["like", "save", "share", "comment", "follow", "dislike", "hide", "not_interested", "report"]
    undone: bool = False
    channel: Label | None = None
    reason: Label | None = None


class CloudEvent(Closed):
    specversion: Literal["1.0"]
    id: Identifier
    source: Identifier
    time: AwareDatetime
    subject: Identifier | None = None
    sentat: AwareDatetime | None = None


class Impression(CloudEvent):
    type: Literal["clapometer.impression.v1"]
    data: ImpressionData


class Watched(CloudEvent):
    type: Literal["clapometer.watched.v1"]
    data: WatchedData


class Reacted(CloudEvent):
    type: Literal["clapometer.reacted.v1"]
    data: ReactedData


Event = Annotated[Impression | Watched | Reacted, Field(discriminator="type")]


class Accepted(BaseModel):
    accepted: int


def create_app(committer: GroupCommitter, keys: list[ApiKey]) -> FastAPI:
    """Returns the peer application."""
    app = FastAPI()
    by_hash = {key.sha256: key for key in keys}

    async def api_key(authorization: Annotated[str, Header()]) -> ApiKey:
        key = by_hash.get(hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest())
        if key is None:
            raise HTTPException(401)
        return key

    @app.post("/v1/events", status_code=202)
    async def events(batch: list[Event], key: Annotated[ApiKey, Depends(api_key)]) -> Accepted:
        now = dt.datetime.now(dt.UTC)
        if any(event.time > now + dt.timedelta(hours=24) for event in batch):
            raise HTTPException(422, "time is in the future")
        lines = "".join(event.model_dump_json(exclude_none=True) + "\n" for event in batch)
        block = encode_block(lines.encode(), len(batch), tenant=key.tenant, received_at=now, key_id=key.id, trust="key")
        await committer.append(block)
        return Accepted(accepted=len(batch))

    return app
