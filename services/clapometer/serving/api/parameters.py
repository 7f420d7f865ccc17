"""Query parameters to queries; what is unknown is refused by name, but for the page."""

from collections.abc import Iterable

from fastapi import Request

from clapometer.domain import InputError
from clapometer.serving.config import ServingConfig
from clapometer.serving.reading.answers import SEGMENTS, WHOLE
from clapometer.serving.reading.queries import RankingQuery, parse_as_of, subject_of

_COMMON = (*SEGMENTS, "run", "as_of")
_MAX_OFFSET = 10_000_000


def ranking_query(request: Request, subject: str, config: ServingConfig) -> RankingQuery:
    """Returns the ranking that a request asks for.

    Raises:
        InputError: A parameter is unknown, there twice or out of range.
    """
    given = known_parameters(request, (*_COMMON, "limit", "offset"))
    return _query(
        given,
        subject,
        limit=_whole_number(given, "limit", config.default_limit, 1, config.max_limit),
        offset=_whole_number(given, "offset", 0, 0, _MAX_OFFSET),
    )


def compare_query(request: Request) -> tuple[RankingQuery, str, str]:
    """Returns the ranking, the left and the right item that a request asks for.

    Raises:
        InputError: A parameter is unknown, missing or there twice.
    """
    given = known_parameters(request, (*_COMMON, "subject", "left", "right"))
    for side in ("left", "right"):
        if not given.get(side):
            msg = "name an item, as /v1/rankings does"
            raise InputError(msg, side)
    query = _query(given, given.get("subject", "model_versions"), limit=2, offset=0)
    return query, given["left"], given["right"]


def page_query(request: Request, config: ServingConfig) -> RankingQuery:
    """Returns the ranking that a request for the page asks for.

    What links get on their way (``utm_…``) is ignored, and so is what a form left empty.

    Raises:
        InputError: A parameter of ours is there twice or out of range.
    """
    said = known_parameters(request, (*_COMMON, "subject", "offset"), ignore_others=True)
    given = {name: value for name, value in said.items() if value}
    return _query(
        given,
        given.get("subject", "model_versions"),
        limit=config.page_items,
        offset=_whole_number(given, "offset", 0, 0, _MAX_OFFSET),
    )


def known_parameters(request: Request, known: Iterable[str], *, ignore_others: bool = False) -> dict[str, str]:
    """Returns the query parameters of a request that are ``known``.

    Raises:
        InputError: One is not known, and others are not ignored, or is there twice.
    """
    allowed = list(known)
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed and ignore_others:
            continue
        if name not in allowed:
            msg = f"unknown parameter; one of {', '.join(allowed)}"
            raise InputError(msg, name)
        if name in given:
            msg = "is there twice"
            raise InputError(msg, name)
        given[name] = value
    return given


def _query(given: dict[str, str], subject: str, *, limit: int, offset: int) -> RankingQuery:
    filters = [segment for segment in SEGMENTS if segment in given]
    if len(filters) > 1:
        msg = f"filter by one segment at a time; {' and '.join(filters)} together are not computed"
        raise InputError(msg, filters[1])
    segment = filters[0] if filters else WHOLE
    as_of = given.get("as_of")
    time = parse_as_of(as_of) if as_of is not None else None
    run = given.get("run")
    if as_of is not None and run is not None:
        msg = "give `run` or `as_of`, not both"
        raise InputError(msg, "as_of")
    return RankingQuery(
        subject=subject_of(subject),
        segment=segment,
        segment_value=given.get(segment, ""),
        run=as_of if as_of is not None and time is None else run,
        as_of=time,
        limit=limit,
        offset=offset,
    )


def _whole_number(given: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    # ASCII digits only; a length that cannot overflow anything
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and low <= int(text) <= high):
        msg = f"give a whole number from {low} to {high}"
        raise InputError(msg, name)
    return int(text)
