"""Examples of every answer, for the documentation: made of the types that are answered, so that they stay true."""

import datetime as dt
import http
from typing import Any

import msgspec

from clapometer.domain import Against, Verdict
from clapometer.http.problems import Problem
from clapometer.serving.reading.answers import Comparison, LeftOut, NotRanked, Ranking, Run, Slate, Slot, Standing
from clapometer.serving.reading.reproduction import reproduction
from clapometer.serving.slates.sessions import VouchedSession
from clapometer.serving.wording import tier_notes

_RUN_ID = "20260302T110000-4f2a"
_AT = dt.datetime(2026, 3, 2, 11, 0, tzinfo=dt.UTC)
_PROBLEMS = {
    400: ("header authorization is there more than once; send it once", ""),
    401: ("send a secret key: Authorization: Bearer <key>", ""),
    403: ("a publishable key only sends events and asks for slates; ask from a server with a secret key", ""),
    404: ("there is no successful run 'run-1'; `clapometer sql 'from runs'` lists them", ""),
    413: ("the body is longer than 262144 bytes", ""),
    415: ("send the body as it is, without content encoding", ""),
    422: ("give a whole number from 1 to 1000", "limit"),
    429: ("too many requests of this address; wait for 2 s", ""),
    503: ("too many statements are running; try again", ""),
}


def problem_example(status: int) -> dict[str, Any]:
    """Returns the body of a refusal."""
    detail, field = _PROBLEMS[status]
    return _plain(Problem(http.HTTPStatus(status).phrase, status, detail, field))


def ranking_example() -> dict[str, Any]:
    """Returns the body of a ranking of two model versions, and one without a place."""
    return _plain(
        Ranking(
            subject="model_versions", segment="all", segment_value="", run=_run(), stale=False, stale_reason=None,
            tier="B", calibrated=True, notes=tier_notes("B", calibrated=True),
            segments={"task": ["t2v", "i2v"], "evidence": ["votes"]}, impressions=120_400, votes=None, total_ranked=2,
            total_unranked=1, limit=100, offset=0, next_offset=None,
            rows=[_standing("Motif@2.0", 1, 0.041), _standing("Motif@1.0", 2, -0.041)],
            unranked=[_newcomer()],
            reproduction=reproduction(
                tenant="default", run_id=_RUN_ID, subject="model_versions", segment="all", segment_value="",
                limit=100, offset=0,
            ),
        )
    )  # fmt: skip


def comparison_example() -> dict[str, Any]:
    """Returns the body of a comparison."""
    return _plain(
        Comparison(
            subject="model_versions", segment="all", segment_value="", run_id=_RUN_ID, comparable=True,
            verdict=Against.BETTER, reason=None, difference=0.082, low=0.061, high=0.103,
            bought_low=0.052, bought_high=0.112, always_low=0.049,
            always_high=0.115, p_left=1.0, method="joint", tier="B", calibrated=True,
            notes=tier_notes("B", calibrated=True), left=_standing("Motif@2.0", 1, 0.041),
            right=_standing("Motif@1.0", 2, -0.041),
        )
    )  # fmt: skip


def session_example() -> dict[str, Any]:
    """Returns the body of a session that is vouched for."""
    return _plain(
        VouchedSession(
            voucher="<signed by the server>", viewer_id="viewer-1", session_id="session-1",
            expires_at=_AT + dt.timedelta(hours=1),
        )
    )  # fmt: skip


def slate_example() -> dict[str, Any]:
    """Returns the body of a slate of one slot."""
    slot = Slot(
        clip_id="clip-1", position=0, impression_id="0b8c1f0e-7d7f-4f3e-9f0a-4a1b2c3d4e5f", propensity=0.95,
        candidates=2, explored=False, token="<signed by the server>", score=0.41,  # noqa: S106 - no token
    )  # fmt: skip
    return _plain(
        Slate(
            slate_id="5d1e2f3a-0c4b-4d6e-8f7a-9b0c1d2e3f4a", policy_id="ranked", run_id=_RUN_ID, explore_share=0.1,
            surface="feed", experiment=None, viewer_id="viewer-1", session_id="session-1",
            expires_at=_AT + dt.timedelta(days=1), slots=[slot],
            left_out=[LeftOut("clip-3", "withdrawn: rights")], notes=[],
        )
    )  # fmt: skip


SQL_EXAMPLE: dict[str, Any] = {
    "columns": [{"name": "surface", "type": "VARCHAR"}, {"name": "impressions", "type": "BIGINT"}],
    "rows": [["feed", 8120], ["search", 310]],
    "truncated": False,
}
CSV_EXAMPLE = "surface,impressions\r\nfeed,8120\r\nsearch,310\r\n"
METRICS_EXAMPLE = (
    "# HELP clapometer_serving_slots_total Slots filled\n# TYPE clapometer_serving_slots_total counter\n"
    'clapometer_serving_slots_total{explored="true"} 12.0\n'
)


def _run() -> Run:
    return Run(
        run_id=_RUN_ID, status="succeeded", trigger="schedule", started_at=_AT - dt.timedelta(minutes=2),
        finished_at=_AT, code_version="0.1.0", rule={"name": "default", "version": 1, "weights": {"like": 1.0}},
        estimator="clip AIPW, prompt fixed effects, prompt-clustered", parameters={"min_prompts": 20, "level": 0.95},
        seed=7, snapshot={"events": 30, "outcomes": 12}, excluded={"untrusted impression": 310}, outcomes=120_710,
        result_hash="9f86d081884c7d65", error=None,
    )  # fmt: skip


def _standing(item: str, rank: int, effect: float) -> Standing:
    return Standing(
        item=item, label=item, rank=rank, rank_low=rank, rank_high=rank, effect=effect, effect_low=effect - 0.011,
        effect_high=effect + 0.011, value=0.42 + effect, value_low=0.40 + effect, value_high=0.44 + effect,
        p_best=float(rank == 1), tier="B", calibrated=True, verdict=Verdict.KEEP if rank == 1 else Verdict.STOP,
        impressions=60_200, clips=400, prompts=380, viewers=9_100, completion_rate=0.51, completion_rank=3 - rank,
        like_rate=0.034, cost_per_clip=0.04, revenue_per_1000=1.9, currency="EUR", currency_share=1.0,
        cost_currency="EUR", cost_currency_share=1.0,
        fake_reactions_to_top=0 if rank == 1 else 810, impressions_to_drop=620 if rank == 1 else None, votes=None,
    )  # fmt: skip


def _newcomer() -> NotRanked:
    return NotRanked(
        item="Motif@2.1", label="Motif@2.1", reason="it shares too few prompts with other items for an interval that "
        "holds", impressions=120, clips=6, votes=None,
    )  # fmt: skip


def _plain(value: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return plain
