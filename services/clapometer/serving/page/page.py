"""The page: rankings and the state of the pipeline, rendered on the server, readable without scripts."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from clapometer.domain import REASONS
from clapometer.http.access import Access, bears_key
from clapometer.http.error_page import SHARED
from clapometer.serving import wording as words
from clapometer.serving.api.parameters import page_query
from clapometer.serving.api.routes import REVALIDATE
from clapometer.serving.config import ServingConfig
from clapometer.serving.desk import Desk
from clapometer.serving.page import charts
from clapometer.serving.reading.answers import WHOLE, Attacked, Pipeline, Ranking, Standing, Subject, UnregisteredKey
from clapometer.serving.reading.errors import NoRunError, NotPublishedError, UnknownSegmentError
from clapometer.serving.reading.queries import Connection, RankingQuery, read_attack, read_pipeline, read_ranking
from clapometer.serving.slates.candidates import Candidates

TEMPLATES = Path(__file__).parent / "templates"
TITLES: dict[Subject, str] = {"model_versions": "Model versions", "prompts": "Prompts", "templates": "Templates"}
_ENDS = 5
"""Items of the other subjects that are shown from the top and from the bottom."""
_PLOTTED = 25


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The best and the worst of a ranking that the page does not show in full."""

    ranking: Ranking
    best: list[Standing]
    worst: list[Standing]
    scale: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that the page shows; ``problem`` says what is in the way where something is."""

    query: RankingQuery
    ranking: Ranking | None = None
    others: tuple[Ends, ...] = ()
    pipeline: Pipeline | None = None
    attack: tuple[Attacked, ...] = ()
    problem: str | None = None
    segments: dict[str, list[str]] | None = None
    status: int = 200


def page_routes(config: ServingConfig, desk: Desk, access: Access, candidates: Candidates) -> APIRouter:
    """Returns the route of the page."""
    router = APIRouter()
    environment = template_environment()

    @router.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        tenant = access.reader(request)
        query = page_query(request, config)
        try:
            asked = candidates.of(tenant)
            view = await desk.read(read_view, tenant, query, told=bears_key(request), unregistered_keys=asked)
        except NotPublishedError:
            view = View(query=query)
        html = render_page(environment, view, desk.clock(), tenant)
        return Response(html, view.status, headers=REVALIDATE, media_type="text/html")

    return router


def read_view(
    connection: Connection,
    tenant: str,
    query: RankingQuery,
    *,
    told: bool = False,
    unregistered_keys: Sequence[UnregisteredKey] = (),
) -> View:
    """Returns what the page shows for a query; what senders wrote only if ``told``."""
    pipeline = read_pipeline(connection, tenant, told=told, unregistered_keys=unregistered_keys)
    try:
        ranking = read_ranking(connection, tenant, query)
    except UnknownSegmentError as error:
        segments = error.available
        return View(query=query, pipeline=pipeline, problem=error.reason, segments=segments, status=422)
    except NoRunError as error:
        asked = query.run is not None or query.as_of is not None
        return View(query=query, pipeline=pipeline, problem=str(error) if asked else None, status=404 if asked else 200)
    others: tuple[Ends, ...] = ()
    if query.subject == "model_versions" and query.segment == WHOLE and query.offset == 0:
        run = ranking.run.run_id
        others = (
            _ends(connection, tenant, RankingQuery(subject="prompts", run=run)),
            _ends(connection, tenant, RankingQuery(subject="templates", run=run)),
        )
    return View(
        query=query, ranking=ranking, others=others, pipeline=pipeline, segments=ranking.segments,
        attack=tuple(read_attack(connection, tenant)),
    )  # fmt: skip


def _ends(connection: Connection, tenant: str, query: RankingQuery) -> Ends:
    first = read_ranking(connection, tenant, _part(query, 0, _ENDS))
    skip = max(_ENDS, first.total_ranked - _ENDS)
    last = read_ranking(connection, tenant, _part(query, skip, _ENDS))
    best, worst = first.rows, last.rows[: max(0, first.total_ranked - _ENDS)]
    return Ends(ranking=first, best=best, worst=worst, scale=effect_scale([*best, *worst]))


def _part(query: RankingQuery, offset: int, limit: int) -> RankingQuery:
    return RankingQuery(subject=query.subject, run=query.run, offset=offset, limit=limit)


def effect_scale(rows: list[Standing]) -> tuple[float, float]:
    """Returns the effects between which all intervals of some rows lie, 0 among them."""
    ends = [end for row in rows for end in (row.effect, row.effect_low, row.effect_high) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return (low, high) if high > low else (-1.0, 1.0)


def place_on(scale: tuple[float, float], value: float | None) -> float:
    """Returns where a value lies on a scale, from 0 to 100."""
    low, high = scale
    return round(100 * ((value or 0.0) - low) / (high - low), 2)


def template_environment() -> Environment:
    """Returns the templates, with everything escaped that does not say otherwise (and nothing does)."""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "percent": words.percent,
        "count": words.count,
        "counted": words.counted,
        "words": lambda text: text.replace("_", " "),
    }
    environment.globals |= {
        "reasons": REASONS,
        "ago": words.ago,
        "places": words.places,
        "place_on": place_on,
        "side": charts.side,
        "meaning": words.meaning,
        "things": words.things,
        "withheld": words.withheld,
        "misplaced": charts.misplaced,
        "titles": TITLES,
    }
    environment.tests["misplaced"] = charts.misplaced
    return environment


def render_page(environment: Environment, view: View, now: dt.datetime, tenant: str) -> str:
    """Returns the HTML of the page."""
    return environment.get_template("page.html").render(
        view=view,
        query=view.query,
        ranking=view.ranking,
        terms=words.terms(view.query.segment),
        set_aside=_set_aside(view),
        pipeline=view.pipeline,
        now=now,
        tenant=tenant,
        link=lambda **changes: page_link(view.query, **changes),
        figures=_figures(view),
        api_query=page_link(view.query, subject="model_versions", offset=view.query.offset),
    )


def _set_aside(view: View) -> list[tuple[int, str, str]]:
    if view.ranking is None:
        return []
    return words.set_aside(view.ranking.run.excluded, votes=words.terms(view.query.segment).by_votes)


def page_link(query: RankingQuery, **changes: Any) -> str:
    """Returns the address of the page for a query with some changes; only what is not the default is spelt out."""
    now = {
        "subject": query.subject,
        "segment": query.segment,
        "segment_value": query.segment_value,
        "run": query.run,
        "as_of": None if query.as_of is None else query.as_of.isoformat(),
        "offset": 0,
    } | changes
    spelt = {
        "subject": None if now["subject"] == "model_versions" else now["subject"],
        now["segment"]: None if now["segment"] == WHOLE else now["segment_value"],
        "run": now["run"],
        "as_of": None if now["run"] else now["as_of"],
        "offset": now["offset"] or None,
    }
    return "?" + urlencode({name: value for name, value in spelt.items() if value is not None})


def _figures(view: View) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if view.ranking is not None and view.ranking.rows:
        title = TITLES[view.query.subject]
        figures["forest"] = charts.forest(view.ranking.rows[:_PLOTTED], title, words.terms(view.query.segment).unit)
        whole = view.query.offset == 0 and view.ranking.total_ranked <= _PLOTTED
        if whole and any(row.completion_rate is not None for row in view.ranking.rows):
            figures["slope"] = charts.slope(view.ranking.rows, title)
    if view.pipeline is not None and view.pipeline.hours:
        figures["hours"] = charts.hours(view.pipeline.hours)
    return figures
