"""Shows rankings and makes slates over HTTP; reads the published lake, never ingests, labels or fits."""

from clapometer.http.access import Access
from clapometer.serving.app import create_app
from clapometer.serving.config import ServingConfig
from clapometer.serving.page.terminal import (
    column_keys,
    comparison_lines,
    ranking_csv,
    ranking_json,
    ranking_tables,
    ranking_title,
    set_aside_lines,
    unranked_lines,
)
from clapometer.serving.reading.answers import (
    SEGMENTS,
    SUBJECTS,
    Comparison,
    NotRanked,
    Pipeline,
    Ranking,
    Run,
    Slate,
    Standing,
    Subject,
)
from clapometer.serving.reading.compare import compare
from clapometer.serving.reading.errors import NoRunError, NotPublishedError, UnknownItemError, UnknownSegmentError
from clapometer.serving.reading.published import Published
from clapometer.serving.reading.queries import (
    RankingQuery,
    parse_as_of,
    read_pipeline,
    read_ranking,
    read_runs,
    subject_of,
)
from clapometer.serving.reading.requirement import required
from clapometer.serving.server import uvicorn_config

__all__ = [
    "SEGMENTS",
    "SUBJECTS",
    "Access",
    "Comparison",
    "NoRunError",
    "NotPublishedError",
    "NotRanked",
    "Pipeline",
    "Published",
    "Ranking",
    "RankingQuery",
    "Run",
    "ServingConfig",
    "Slate",
    "Standing",
    "Subject",
    "UnknownItemError",
    "UnknownSegmentError",
    "column_keys",
    "compare",
    "comparison_lines",
    "create_app",
    "parse_as_of",
    "ranking_csv",
    "ranking_json",
    "ranking_tables",
    "ranking_title",
    "read_pipeline",
    "read_ranking",
    "read_runs",
    "required",
    "set_aside_lines",
    "subject_of",
    "unranked_lines",
    "uvicorn_config",
]
