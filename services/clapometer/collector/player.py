"""The player SDK as the collector serves it: the modules of this release, for pages of any origin."""

from pathlib import Path

from fastapi import APIRouter, HTTPException
from starlette.responses import FileResponse

MODULES = Path(__file__).parent / "sdk"
HEADERS = {
    "access-control-allow-origin": "*",  # modules of another origin are fetched with CORS
    "cache-control": "public, max-age=3600",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def player_router() -> APIRouter:
    """Returns the route of the SDK's modules; it is no secret, so no key is asked for."""
    router = APIRouter()

    modules = {path.name: path for path in MODULES.glob("*.js")}

    @router.get("/sdk/{name}", include_in_schema=False)
    async def module(name: str) -> FileResponse:
        if name not in modules:
            raise HTTPException(404, f"the SDK has no such module; it has {', '.join(sorted(modules))}")
        return FileResponse(modules[name], media_type="text/javascript", headers=HEADERS)

    return router
