"""What screening sums per viewer, plainly, in SQL: the reference of `clapometer.training.evidence.viewers`."""

import duckdb
import numpy as np

from clapometer.labels import ViewerSums
from clapometer.labels.screening import MIX, SIGNATURES

_POSITIVE = "(liked OR saved OR shared OR commented OR followed)"


def viewer_sums(connection: duckdb.DuckDBPyConnection, relation: str, where: str = "true") -> tuple[list, ViewerSums]:
    """Returns the viewers of outcomes, in order, and their sums.

    Args:
        connection: That knows the outcomes.
        relation: Outcomes of one tenant, a table or view.
        where: Condition on the sums.
    """
    signatures = ", ".join(
        f"min(hash(xor(hash(clip_id), {MIX * (k + 1) % 2**64}::UBIGINT)) >> 1) FILTER ({_POSITIVE})::BIGINT AS s{k}"
        for k in range(SIGNATURES)
    )
    table = connection.sql(
        f"""SELECT viewer_id, count(*) AS impressions, count(*) FILTER ({_POSITIVE}) AS reactions,
            count(*) FILTER ({_POSITIVE} AND greatest(watched_ms, total_ms) < 1000) AS blind,
            count(DISTINCT date_trunc('hour', shown_at)) AS hours, count(DISTINCT date_trunc('day', shown_at)) AS days,
            count(DISTINCT clip_id) FILTER ({_POSITIVE}) AS clips,
            {signatures}
        FROM {relation} GROUP BY viewer_id HAVING {where} ORDER BY viewer_id"""
    ).to_arrow_table()
    columns = {name: np.array(table[name].fill_null(0)) for name in table.column_names if name != "viewer_id"}
    signature = np.column_stack([columns.pop(f"s{k}") for k in range(SIGNATURES)])
    clips = connection.sql(f"SELECT count(DISTINCT clip_id) FILTER ({_POSITIVE}) FROM {relation}").fetchall()[0][0]
    return table["viewer_id"].to_pylist(), ViewerSums(**columns, signature=signature, catalogue=clips)
