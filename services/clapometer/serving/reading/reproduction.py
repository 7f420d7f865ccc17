"""How to get a ranking's numbers without this server: SQL over the published file, and the command that fits anew."""

import msgspec

from clapometer.domain.results.rankings import COLUMNS
from clapometer.lake.statements import quote


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """Ways to the same numbers.

    Attributes:
        sql: For any DuckDB on the published file, and for ``POST /v1/sql``: the rows of this answer.
        as_of: The same from the lake as it was when the run was recorded.
        train: Makes the run again from what it read, and compares bit for bit.
    """

    sql: str
    as_of: str
    train: str


def reproduction(
    *, tenant: str, run_id: str, subject: str, segment: str, segment_value: str, limit: int, offset: int
) -> Reproduction:
    """Returns how to get a page of a ranking again."""
    conditions = {
        "tenant": tenant, "run_id": run_id, "subject": subject, "segment": segment, "segment_value": segment_value,
    }  # fmt: skip
    where = " AND ".join(f"{name} = {quote(value)}" for name, value in conditions.items())
    sql = (
        f"SELECT {', '.join(COLUMNS)} FROM rankings WHERE {where} "  # noqa: S608 - shown, and every value is quoted
        f"ORDER BY rank NULLS LAST, impressions DESC NULLS LAST, item LIMIT {limit} OFFSET {offset}"
    )
    quoted = sql.replace("'", "'\\''")
    return Reproduction(
        sql=sql,
        as_of=f"clapometer sql --as-of {run_id} '{quoted}'",
        train=f"clapometer train --run {run_id}",
    )
