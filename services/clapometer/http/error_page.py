"""Refusals for people: a page where a browser asked for a page, with what is wrong and where to go."""

import http
from pathlib import Path

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TITLES = {
    400: "This request makes no sense",
    401: "This page needs a key",
    403: "This key may not see this page",
    404: "There is nothing here",
    405: "There is nothing here to be sent to",
    422: "This address asks for something that does not exist",
    429: "Too many requests",
    500: "Something broke",
    503: "Not available just now",
}
_HINTS = {
    401: "Your browser asks for a name and a password: leave the name empty, and give a secret key as the password. "
    "`clapometer keys new --kind secret` makes one.",
    403: "A publishable key only sends events; reading needs a secret key.",
    429: "Wait a moment, then load the page again.",
    500: "It is not your fault. The log of the server says more; load the page again, and report it where it stays.",
    503: "Wait a moment, then load the page again.",
}
_MACHINES = ("/v1/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static/", "/docs/static/")
SHARED = Path(__file__).parent / "templates"
"""Templates of refusals, and what other pages use of them."""
_PAGES = Environment(
    loader=FileSystemLoader(SHARED), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


def wants_page(request: Request) -> bool:
    """Whether a person sees the answer: a browser's own request (not a script's) for what is no route of machines."""
    if request.method not in {"GET", "HEAD"} or request.url.path.startswith(_MACHINES):
        return False
    quality = dict(map(_weighted, request.headers.get("accept", "").split(",")))
    page = quality.get("text/html", 0.0)
    return page > 0 and page >= max(quality.get("application/json", 0.0), quality.get("application/problem+json", 0.0))


def _weighted(accepted: str) -> tuple[str, float]:
    """Returns one entry of ``Accept`` and its quality; 1 where it says nothing that can be read (RFC 9110 12.5.1)."""
    name, *parameters = (part.strip().lower() for part in accepted.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                break
    return name, 1.0


def error_page(request: Request, status: int, detail: str, field: str = "") -> str:
    """Returns the HTML of a refusal."""
    return _PAGES.get_template("error.html").render(
        status=status,
        title=_TITLES.get(status, http.HTTPStatus(status).phrase),
        detail=detail,
        field=field,
        hint=_HINTS.get(status, ""),
        # links are relative, because a proxy may serve us under a path of its own
        root="../" * (request.url.path.count("/") - 1) or "./",
    )
