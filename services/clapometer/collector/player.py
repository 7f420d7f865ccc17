"""The player SDK as the collector serves it: the file of this release, for pages of any origin."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

PLAYER = Path(__file__).parent / "sdk" / "clapometer.js"
HEADERS = {
    "access-control-allow-origin": "*",  # modules of another origin are fetched with CORS
    "cache-control": "public, max-age=3600",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def player_router() -> APIRouter:
    """Returns the route of the SDK; it is no secret, so no key is asked for."""
    router = APIRouter()

    @router.get("/sdk/clapometer.js", include_in_schema=False)
    async def player() -> FileResponse:
        return FileResponse(PLAYER, media_type="text/javascript", headers=HEADERS)

    return router
