"""The endpoint one writes by the book: FastAPI, a pydantic union, kafka-python, one record an event, all awaited.

It checks what ``fastapi_pydantic`` checks. The route is a plain function, as kafka-python's futures are waited for
in threads; the records of a request are sent before the first is waited for.
"""

import datetime as dt
import hashlib
from typing import Annotated

from bench.peers.fastapi_pydantic import Accepted, Event
from fastapi import Depends, FastAPI, Header, HTTPException
from kafka import KafkaProducer

from clapometer.gate import ApiKey


def create_app(servers: list[str], topic: str, compression: str | None, keys: list[ApiKey]) -> FastAPI:
    """Returns the peer application."""
    app = FastAPI()
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", compression_type=compression)
    by_hash = {key.sha256: key for key in keys}

    def api_key(authorization: Annotated[str, Header()]) -> ApiKey:
        key = by_hash.get(hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest())
        if key is None:
            raise HTTPException(401)
        return key

    @app.post("/v1/events", status_code=202)
    def events(batch: list[Event], key: Annotated[ApiKey, Depends(api_key)]) -> Accepted:
        now = dt.datetime.now(dt.UTC)
        if any(event.time > now + dt.timedelta(hours=24) for event in batch):
            raise HTTPException(422, "time is in the future")
        headers = [("tenant", key.tenant.encode()), ("received_at", now.isoformat().encode())]
        lines = [event.model_dump_json(exclude_none=True).encode() for event in batch]
        futures = [producer.send(topic, line, headers=headers) for line in lines]
        for future in futures:
            future.get(timeout=30)
        return Accepted(accepted=len(batch))

    return app
