"""Refusals, as ``application/problem+json`` (RFC 9457); HTTP statuses are chosen here and nowhere else."""

import http
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from clapometer.domain import InputError, TransientError
from clapometer.serving.errors import NoRunError, UnknownItemError
from clapometer.serving.guard import HEADERS

PROBLEM = "application/problem+json"


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


def add_handlers(app: FastAPI) -> None:
    """Makes the application answer every error of ours, and its own, as a problem."""

    @app.exception_handler(InputError)
    async def _input(_request: Request, error: InputError) -> Response:
        available = getattr(error, "available", None)
        return problem(422, error.reason, field=error.field, available=available)

    @app.exception_handler(NoRunError)
    @app.exception_handler(UnknownItemError)
    async def _missing(_request: Request, error: NoRunError | UnknownItemError) -> Response:
        return problem(404, str(error))

    @app.exception_handler(TransientError)
    async def _away(_request: Request, error: TransientError) -> Response:
        return problem(503, str(error), headers={"Retry-After": "2"})

    @app.exception_handler(RefusedError)
    async def _refused(_request: Request, error: RefusedError) -> Response:
        return problem(error.status, error.detail, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path}: {error.detail}; /docs lists what is here"
        return problem(error.status_code, detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def _broken(_request: Request, _error: Exception) -> Response:
        # The server answers this outside of all middleware.
        return problem(500, "this should not have happened; the log of the server says more", headers=HEADERS)
