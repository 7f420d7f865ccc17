"""Refusals, as ``application/problem+json`` (RFC 9457) or as a page; HTTP statuses are chosen here and nowhere else."""

import http
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from clapometer.domain import InputError, NotFoundError, TransientError
from clapometer.http.error_page import error_page, wants_page
from clapometer.http.headers import HEADERS
from clapometer.http.openapi import PROBLEM


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was refused.

    Attributes:
        title: The status in words.
        status: HTTP status.
        detail: What is wrong and how to mend it.
        field: The parameter or field that is meant, where there is one.
        available: What exists instead, where that helps.
    """

    title: str
    status: int
    detail: str
    field: str = ""
    available: Any = None


class RefusedError(Exception):
    """Ends a request with a status that no other error stands for.

    Attributes:
        status: HTTP status.
        detail: What is wrong and how to mend it.
        headers: Headers that belong to the status.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def problem(
    status: int, detail: str, *, field: str = "", available: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Returns a refusal as a response."""
    body = Problem(http.HTTPStatus(status).phrase, status, detail, field, available)
    return Response(msgspec.json.encode(body), status, headers=dict(headers or {}), media_type=PROBLEM)


def _refusal(
    request: Request, status: int, detail: str, *, field: str = "", available: object = None,
    headers: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    """Returns a refusal as whoever asked reads it: a page for a person with a browser, a problem for a program."""
    if wants_page(request):
        sent = {"Cache-Control": "no-store", "Vary": "Accept", **(headers or {})}
        return Response(error_page(request, status, detail, field), status, headers=sent, media_type="text/html")
    return problem(status, detail, field=field, available=available, headers=headers)


def add_handlers(app: FastAPI) -> None:
    """Makes the application answer every error of ours, and its own, as a problem or as a page."""

    @app.exception_handler(InputError)
    async def _input(request: Request, error: InputError) -> Response:
        available = getattr(error, "available", None)
        return _refusal(request, 422, error.reason, field=error.field, available=available)

    @app.exception_handler(NotFoundError)
    async def _missing(request: Request, error: NotFoundError) -> Response:
        return _refusal(request, 404, str(error))

    @app.exception_handler(TransientError)
    async def _away(request: Request, error: TransientError) -> Response:
        return _refusal(request, 503, str(error), headers={"Retry-After": "2"})

    @app.exception_handler(RefusedError)
    async def _refused(request: Request, error: RefusedError) -> Response:
        return _refusal(request, error.status, error.detail, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path}: {error.detail}; /docs lists what is here"
        return _refusal(request, error.status_code, detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def _broken(request: Request, _error: Exception) -> Response:
        # The server answers this outside of all middleware.
        return _refusal(request, 500, "this should not have happened; the log of the server says more", headers=HEADERS)
