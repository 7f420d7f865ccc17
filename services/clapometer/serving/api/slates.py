"""The routes of feeds: slates, and the vouchers with which pages ask for them."""

from fastapi import APIRouter, Request, Response

from clapometer.http.access import Access
from clapometer.http.bodies import read_body
from clapometer.serving.api.routes import NO_STORE, json_answer
from clapometer.serving.config import ServingConfig
from clapometer.serving.desk import Desk
from clapometer.serving.metrics import ServingMetrics
from clapometer.serving.slates.candidates import Candidates
from clapometer.serving.slates.sessions import Sessions
from clapometer.serving.slates.slates import SlateMaker, decode_request


def slate_routes(
    config: ServingConfig,
    desk: Desk,
    access: Access,
    *,
    slates: SlateMaker,
    sessions: Sessions,
    candidates: Candidates,
    metrics: ServingMetrics,
) -> APIRouter:
    """Returns the routes of feeds under ``/v1``."""
    router = APIRouter(prefix="/v1")

    @router.post(
        "/sessions", tags=["slates"], summary="A voucher for a viewer's session, with which a page asks for slates"
    )
    async def session(request: Request) -> Response:
        key = access.secret(request)
        body = await read_body(request, config.max_body_bytes)
        return json_answer(sessions.vouch(body, key.tenant, desk.clock()), NO_STORE)

    @router.post("/slates", tags=["slates"], summary="Clips to show, in order, with propensities and tokens")
    async def slate(request: Request) -> Response:
        key = access.asker(request)
        asked = decode_request(await read_body(request, config.max_body_bytes), config)
        asked, closed = sessions.vouched(request, key, asked, desk.clock())
        access.slate(request, key, asked.viewer_id)
        book = await desk.book(key.tenant, asked.candidates)
        shown, left_out = book.rate(asked.candidates)
        unregistered = book.unregistered([clip.clip_id for clip in shown])
        made = slates.slate(
            asked, key.tenant, shown=shown, left_out=left_out, unregistered=unregistered, run_id=book.run_id,
            now=desk.clock(), closed=closed,
        )  # fmt: skip
        metrics.unregistered.inc(len(unregistered))
        candidates.count(key.tenant, key.id, len(asked.candidates), unregistered)
        explored = sum(slot.explored for slot in made.slots)
        metrics.slots.labels("true").inc(explored)
        metrics.slots.labels("false").inc(len(made.slots) - explored)
        return json_answer(made, NO_STORE)

    return router
