"""The peers of `bench/train.py`: logistic regression on rows, and Bradley-Terry on single comparisons.

    python bench/peers/training.py CASE FOLDER [--threads N]

Prints seconds, CPU seconds and peak memory in GiB. Reading the comparisons counts for ours only, not for the peers.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np

from clapometer.lake.tables import Lake
from clapometer.ranking import BradleyTerry

MODELS = 12

COMPARISONS = f"""
WITH sides AS (
    SELECT
        CAST(floor(random() * {MODELS}) AS INTEGER) AS left_item,
        CAST(floor(random() * {MODELS}) AS INTEGER) AS right_item,
        random() AS u
    FROM range({{rows}})
)
SELECT
    left_item, right_item, u < 1 / (1 + exp(-0.1 * (left_item - right_item))) AS left_won,
    'm' || left_item AS model_a, 'm' || right_item AS model_b, if(left_won, 'model_a', 'model_b') AS winner
FROM sides
WHERE left_item != right_item"""

COUNTS = "SELECT left_item, right_item, left_won, count(*) AS n FROM '{path}' GROUP BY ALL ORDER BY ALL"


def write_comparisons(path: Path, rows: int) -> None:
    """Writes about so many comparisons of 12 items."""
    with duckdb.connect() as con:
        con.execute("SELECT setseed(0.25)").fetchall()
        con.execute(f"COPY ({COMPARISONS.format(rows=rows)}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def bradley_terry(folder: Path, threads: int) -> Callable[[], object]:
    """Ours: counts in SQL, strengths and covariance from them."""

    def fit() -> object:
        with duckdb.connect(config={"threads": threads}) as con:
            query = COUNTS.format(path=folder / "comparisons.parquet")
            left, right, won, n = con.execute(query).fetchnumpy().values()
        return BradleyTerry().fit(np.column_stack([left, right]), won.astype(float), n).covariance_

    return fit


def arena_rank(folder: Path, threads: int) -> Callable[[], object]:  # noqa: ARG001 - it takes all cores
    """Strengths and intervals from the data frame that arena-rank wants."""
    import pandas as pd  # noqa: PLC0415 - each process is one peer, and its imports are its memory
    from arena_rank.models.bradley_terry import BradleyTerry as ArenaBradleyTerry  # noqa: PLC0415 - each process is one peer, and its imports are its memory
    from arena_rank.utils.data_utils import PairDataset  # noqa: PLC0415 - each process is one peer, and its imports are its memory

    frame = pd.read_parquet(folder / "comparisons.parquet", columns=["model_a", "model_b", "winner"])

    def fit() -> object:
        data = PairDataset.from_pandas(frame)
        return ArenaBradleyTerry(n_competitors=len(data.competitors)).compute_ratings_and_cis(data)

    return fit


def choix(folder: Path, threads: int) -> Callable[[], object]:  # noqa: ARG001 - it takes one core
    """Strengths by the fastest way that choix has to the maximum of the likelihood; it has no intervals."""
    from choix import ilsr_pairwise  # noqa: PLC0415 - each process is one peer, and its imports are its memory

    with duckdb.connect() as con:
        query = (
            "SELECT if(left_won, left_item, right_item), if(left_won, right_item, left_item) "
            f"FROM '{folder / 'comparisons.parquet'}'"
        )
        data = con.execute(query).fetchall()
    return lambda: ilsr_pairwise(MODELS, data)


def rows(folder: Path, threads: int) -> Callable[[], object]:  # noqa: ARG001 - it takes one core
    """Logistic regression of a like, as one writes it: read with pandas, merge with the clips, encode, fit."""
    import pandas as pd  # noqa: PLC0415 - each process is one peer, and its imports are its memory
    from sklearn.compose import make_column_transformer  # noqa: PLC0415 - each process is one peer, and its imports are its memory
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - each process is one peer, and its imports are its memory
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - each process is one peer, and its imports are its memory
    from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415 - each process is one peer, and its imports are its memory

    kinds = ["model_name", "model_version", "prompt_id", "position", "audience", "shown_date"]

    def fit() -> object:
        columns = ["clip_id", "position", "audience", "trust", "liked", "shown_date"]
        seen = pd.read_parquet(folder / "outcomes", columns=columns)
        seen = seen[seen["trust"].isin(["key", "token"])]
        named = ["type", "clip_id", "model_name", "model_version", "prompt_id"]
        events = pd.read_parquet(folder / "events", columns=named)
        clips = events[events["type"] == "clip_registered"].drop(columns="type")
        seen = seen.merge(clips, on="clip_id")
        encoder = make_column_transformer((OneHotEncoder(), kinds))
        return make_pipeline(encoder, LogisticRegression(max_iter=100)).fit(seen[kinds], seen["liked"])

    return fit


def rows_by_hand(folder: Path, threads: int) -> Callable[[], object]:
    """Logistic regression of a like on model version, prompt, position and day, from columns of whole numbers."""
    from scipy import sparse  # noqa: PLC0415 - each process is one peer, and its imports are its memory
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - each process is one peer, and its imports are its memory

    def fit() -> object:
        with Lake(folder).connect(threads=threads) as con:
            # what pandas would read of the files, without the strings that it has no use for
            seen = con.sql(
                "SELECT clip_id, position, shown_date, liked FROM outcomes WHERE trust IN ('key', 'token')"
            ).df()
            clips = con.sql("SELECT clip_id, prompt_id, model FROM clips").df()
        for name in ("prompt_id", "model"):
            clips[name] = clips[name].astype("category")
        seen = seen.merge(clips, on="clip_id")
        codes = [
            seen["model"].cat.codes.to_numpy(),
            seen["prompt_id"].cat.codes.to_numpy(),
            seen["position"].to_numpy(),
            (seen["shown_date"] - seen["shown_date"].min()).dt.days.to_numpy(),
        ]
        liked = seen["liked"].to_numpy()
        del seen
        start = np.cumsum([0, *(int(code.max()) + 1 for code in codes)])
        column = np.column_stack([code.astype(np.int32) + at for code, at in zip(codes, start[:-1], strict=True)])
        ones, ends = np.ones(column.size, np.float32), np.arange(0, column.size + 1, len(codes))
        X = sparse.csr_matrix((ones, column.ravel(), ends), (len(column), start[-1]))
        return LogisticRegression(max_iter=100).fit(X, liked)

    return fit


CASES = {
    "bradley_terry": bradley_terry,
    "arena_rank": arena_rank,
    "choix": choix,
    "rows": rows,
    "rows_by_hand": rows_by_hand,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    fit = CASES[given.case](given.folder, given.threads)
    started, busy = time.perf_counter(), time.process_time()
    fit()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(time.perf_counter() - started, time.process_time() - busy, memory)


if __name__ == "__main__":
    main()
