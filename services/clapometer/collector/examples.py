"""One event of each type as a sender would write it; the documentation shows them and the tests send them."""

import datetime as dt
import http
from typing import Any

_IMPRESSION = "0192f1c8-7a51-7d2e-9a0b-5f0c3f6f1a01"
_OTHER_IMPRESSION = "0192f1c8-7a51-7d2e-9a0b-5f0c3f6f1a02"

_DATA: dict[str, dict[str, Any]] = {
    "clip_registered": {
        "clip_id": "clip-81f3",
        "prompt": {"text": "a red vase turning on a wooden table, morning light", "lang": "en"},
        "model": {"name": "motion", "version": "2.1"},
        "duration_ms": 8000,
        "task": "i2v",
        "template": {"id": "product-turn", "version": "3", "vars": {"object": "vase", "seconds": 8}},
        "seed": 42,
        "references": [{"role": "first_frame", "media": "image"}],
        "lineage": {"batch_id": "batch-7", "product_id": "vase-12", "scenario": "product", "audience": "home"},
        "cost": {"gpu_seconds": 41.5, "amount": 0.06, "currency": "EUR"},
        "training_allowed": True,
    },
    "clip_withdrawn": {"clip_id": "clip-81f3", "reason": "rights", "scope": "duplicates"},
    "impression": {
        "impression_id": _IMPRESSION,
        "clip_id": "clip-81f3",
        "viewer_id": "viewer-5e1d",
        "session_id": "session-19",
        "slate_id": "slate-3",
        "position": 0,
        "surface": "feed",
        "policy_id": "ranked-1",
        "propensity": 0.25,
        "candidates": 40,
        "explored": False,
        "locale": "en-GB",
        "device_class": "phone",
    },
    "watched": {
        "impression_id": _IMPRESSION,
        "played_segments": [[0, 5200], [6000, 8000]],
        "total_ms": 9100,
        "loops": 1,
        "end_reason": "skipped",
    },
    "reacted": {"impression_id": _IMPRESSION, "reaction": "like"},
    "converted": {
        "impression_id": _IMPRESSION,
        "kind": "purchase",
        "value": 19.9,
        "currency": "EUR",
        "order_id": "order-77",
    },
    "voted": {
        "left_impression_id": _IMPRESSION,
        "right_impression_id": _OTHER_IMPRESSION,
        "result": "left",
        "axes": {"motion": "left", "prompt_fit": "tie"},
    },
    "creator_acted": {
        "action": "downloaded",
        "batch_id": "batch-7",
        "chosen_clip_id": "clip-81f3",
        "shown_clip_ids": ["clip-81f3", "clip-81f4"],
    },
    "viewer_erased": {"viewer_id": "viewer-5e1d"},
}

ANSWER_EXAMPLE: dict[str, Any] = {
    "accepted": 1,
    "rejected": [
        {
            "index": 1,
            "id": "like-2",
            "code": "missing_field",
            "field": "data.impression_id",
            "reason": "required field is missing; add it",
        }
    ],
    "warnings": [],
}
"""Two events, of which one was refused."""


def problem_example(status: int, detail: str) -> dict[str, Any]:
    """Returns a refusal of a whole request."""
    return {
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


def event_examples(now: dt.datetime) -> dict[str, dict[str, Any]]:
    """Returns an example by the short name of its type; each is accepted as it stands around ``now``."""
    time = now.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return {
        name: {
            "specversion": "1.0",
            "id": f"example-{name.replace('_', '-')}",
            "source": "/docs",
            "type": f"clapometer.{name}.v1",
            "time": time,
            "data": data,
        }
        for name, data in _DATA.items()
    }
