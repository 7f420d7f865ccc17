"""What the demo reads from its lake: what became of the events, and the rankings."""

from dataclasses import dataclass

from clapometer.lake.tables import Lake
from clapometer.traffic.worlds.truth_check import RankedRow

_RANKING = """
SELECT item, label, rank, rank_low, rank_high, effect, effect_low, effect_high, completion_rate, unranked_reason
FROM rankings_current
WHERE tenant = $tenant AND subject = $subject AND segment = 'all'
ORDER BY rank NULLS LAST, item
"""
_TOTALS = """
SELECT coalesce(sum(received), 0)::BIGINT, coalesce(sum(stored), 0)::BIGINT, coalesce(sum(duplicate), 0)::BIGINT,
    coalesce(sum(rejected), 0)::BIGINT, coalesce(sum(suppressed), 0)::BIGINT
FROM ledger
"""
_DURATIONS = """
SELECT model_name || '@' || model_version AS item, avg(duration_ms) / 1000 AS seconds
FROM clips WHERE tenant = $tenant GROUP BY ALL
"""


@dataclass(frozen=True)
class LedgerTotals:
    """Sums of the ledger over everything."""

    received: int
    stored: int
    duplicate: int
    rejected: int
    suppressed: int


def ledger_totals(lake: Lake) -> LedgerTotals:
    """Returns what became of the events of a lake so far."""
    with lake.connect(threads=1) as connection:
        row = connection.execute(_TOTALS).fetchone()
    assert row is not None
    return LedgerTotals(*row)


def ranking(lake: Lake, tenant: str, subject: str) -> list[RankedRow]:
    """Returns a tenant's current ranking of a subject, best first, unranked last."""
    with lake.connect(threads=1) as connection:
        rows = connection.execute(_RANKING, {"tenant": tenant, "subject": subject}).fetchall()
    return [RankedRow(*row) for row in rows]


def mean_durations(lake: Lake, tenant: str) -> dict[str, float]:
    """Returns the mean length of each model version's clips, in seconds."""
    with lake.connect(threads=1) as connection:
        return dict(connection.execute(_DURATIONS, {"tenant": tenant}).fetchall())
