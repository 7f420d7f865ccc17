"""Training against one ``GROUP BY clip_id`` with the same aggregates over the same files, in the same run.

    python bench/train.py [OUTCOMES] [CLIPS] [--threads N] [--folder F] [--comparisons N] [--rounds N] [--no-rows]

``statistics``: all that is summed for a ranking; ``screened``: and finding viewers that are not people; ``train``: a
whole run with segments, prompts, templates, pairs, commit and publishing. Each of them ``first``, with nothing kept of
an earlier training, and again, as a schedule does; ``train, a new day``: again, where one day of 28 was never read.
``read``: the columns of outcomes that a first training needs, decoded, and viewers hashed, and nothing else.
Prints seconds, CPU seconds, those of the fit (of a whole run all that looks at no single outcome), peak memory, ratios.

Peers in the same run (``pip install arena-rank pandas``, the group ``bench``): scikit-learn's logistic regression on
the rows of the same files, twice: as one writes it (`rows`: pandas, merge, a pipeline with a one-hot encoder) and tuned
by hand (`rows_by_hand`: read by DuckDB without strings, the sparse matrix made from codes), against ``screened``, which
does the same and more; arena-rank and choix on the same comparisons against our counts in SQL and `BradleyTerry`. Every
process is a new one; the best of the rounds counts, of peers that take minutes the only one.
"""

import argparse
import datetime as dt
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from clapometer.folding.fold import FOLDED
from clapometer.labels import DEFAULT_RULE, ScreeningLimits
from clapometer.lake.kept import drop_kept
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.training import train as training
from clapometer.training.boards.model_versions import rank_models
from clapometer.training.boards.scores import fit_models, score_clips
from clapometer.training.boards.slices import slices
from clapometer.training.evidence.clips import load_clips
from clapometer.training.evidence.evidence import Evidence
from clapometer.training.evidence.outcomes import Outcomes
from clapometer.training.evidence.screening import Screening
from clapometer.training.parameters import Parameters
from clapometer.training.reading import Resources
from clapometer.training.train import train_once
from peers.training import write_comparisons

PEERS = Path(__file__).parent / "peers" / "training.py"
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAYS = 28
FIRST, NEW_DAY = ", first", ", a new day"
CASES = (
    "read", "statistics, first", "statistics", "screened, first", "screened", "train, first", "train",
    "train, a new day",
)  # fmt: skip
LOOKS = {
    training: ("refresh_outcomes", "count_orphans", "hear", "how_sturdy"),
    Outcomes: ("read", "screened", "scored"),
    Evidence: ("values", "cells", "sample", "viewers_by_model"),
}
"""What of a whole run looks at single outcomes; all the rest works on sums by clip, day and viewer fold."""

CLIPS = """
SELECT
    'default' AS tenant, 'clip_registered' AS type, '/bench' AS source, 'r' || i AS id,
    TIMESTAMPTZ '2026-02-01 00:00:00+00' AS time, time AS client_time, time AS received_at, 'key' AS trust,
    i AS event_key, i AS payload_hash, 'clip-' || i AS clip_id, 'p' || (i // 4) AS prompt_id, 'm' AS model_name,
    CAST((i * 7919 + i // 4) % 12 AS VARCHAR) AS model_version, 2000 + (i * 104729) % 20000 AS duration_ms,
    't2v' AS task, DATE '2026-02-01' AS received_date
FROM range({clips}) r(i)"""

OUTCOMES = """
SELECT
    'default' AS tenant, uuid() AS impression_id, 'clip-' || clip AS clip_id, 'viewer-' || viewer AS viewer_id,
    'session-' || viewer // 3 AS session_id, position, 'feed' AS surface, 'ranked' AS policy_id,
    1.55 / {clips} * (0.3 + 2 * pow(u, 2)) AS propensity, {clips} AS candidates, u < 0.1 AS explored,
    'all' AS audience, 'en' AS locale,
    TIMESTAMPTZ '2026-02-01 00:00:00+00' + to_seconds({day} * 86400 + i % 86400) AS shown_at, 'token' AS trust,
    CAST(v * 15000 AS BIGINT) AS watched_ms, CAST(v * 16000 AS BIGINT) AS total_ms, 0 AS loops, 'ended' AS end_reason,
    v < 0.15 AS liked, v > 0.92 AS saved, v > 0.95 AS shared, v BETWEEN 0.5 AND 0.52 AS commented, false AS followed,
    v > 0.99 AS disliked, false AS hidden, false AS not_interested, false AS reported, v < 0.05 AS clicked,
    false AS visual_searched, false AS carted, v < 0.01 AS purchased, shown_at AS last_event_at,
    DATE '2026-02-01' + {day} AS shown_date
FROM (
    SELECT
        i, CAST(floor(pow(random(), 2.5) * {clips}) AS BIGINT) AS clip,
        CAST(floor(random() * {viewers}) AS BIGINT) AS viewer, CAST(floor(random() * 10) AS BIGINT) AS position,
        random() AS u, random() AS v
    FROM range({rows}) r(i)
)
ORDER BY clip_id"""

GROUP_BY = """
SELECT
    clip_id, count(*), count(*) FILTER (liked), count(*) FILTER (watched_ms > 5000),
    sum({label}), sum(1 / (propensity * candidates)), sum({label} / (propensity * candidates)),
    sum(least(1 / (propensity * candidates), 10)), sum({label} * least(1 / (propensity * candidates), 10)),
    sum(position), count(*) FILTER (explored), sum(revenue)
FROM outcomes
WHERE tenant = 'default' AND trust IN ('key', 'token')
GROUP BY clip_id"""

READ = """
SELECT
    bit_xor(hash(viewer_id)), max(clip_id), max(surface), max(audience), max(locale), max(shown_at), sum(position),
    sum(propensity), sum(candidates), sum(watched_ms), sum(total_ms), count_if(explored), count_if(liked),
    count_if(saved), count_if(shared), count_if(commented), count_if(followed), count_if(disliked), count_if(hidden),
    count_if(not_interested), count_if(reported), count_if(clicked), count_if(visual_searched), count_if(carted),
    count_if(purchased), sum(revenue), max(currency)
FROM outcomes
WHERE tenant = 'default' AND trust IN ('key', 'token')"""

LABEL = """(0.25 * watched_ms / 10000.0 + CASE WHEN liked THEN 1.0 ELSE 0.0 END + CASE WHEN saved THEN 1.5 ELSE 0.0 END
    + CASE WHEN shared THEN 1.5 ELSE 0.0 END + CASE WHEN commented THEN 0.5 ELSE 0.0 END
    + CASE WHEN followed THEN 1.5 ELSE 0.0 END - CASE WHEN disliked THEN 1.0 ELSE 0.0 END
    - CASE WHEN hidden THEN 1.0 ELSE 0.0 END - CASE WHEN not_interested THEN 1.0 ELSE 0.0 END
    - CASE WHEN reported THEN 2.0 ELSE 0.0 END + CASE WHEN clicked THEN 0.05 ELSE 0.0 END
    + CASE WHEN visual_searched THEN 0.5 ELSE 0.0 END + CASE WHEN carted THEN 1.5 ELSE 0.0 END
    + CASE WHEN purchased THEN 3.0 ELSE 0.0 END)"""


def build(lake: Lake, outcomes: int, clips: int) -> None:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SELECT setseed(0.5)").fetchall()
    for name in ("events", "outcomes"):
        con.register(f"empty_{name}", TABLES[name][0].empty_table())
        con.execute(f"CREATE TABLE {name} AS FROM empty_{name}")
    con.execute(f"INSERT INTO events BY NAME {CLIPS.format(clips=clips)}")
    version = lake.append("events", con.sql("FROM events").to_arrow_table())
    table = lake.table("outcomes")
    actions = []
    for day in range(DAYS):
        query = OUTCOMES.format(clips=clips, rows=outcomes // DAYS, day=day, viewers=max(1_000, outcomes // 50))
        con.execute("DELETE FROM outcomes").fetchall()
        con.execute(f"INSERT INTO outcomes BY NAME {query}")
        values = {"shown_date": str(dt.date(2026, 2, 1) + dt.timedelta(days=day))}
        path = table.new_file(values)
        con.execute(
            f"COPY (SELECT * EXCLUDE (shown_date) FROM outcomes) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )
        actions.append(table.added(path, values))
    table.commit(actions, {FOLDED: version})


def measure(case: str, folder: Path, threads: int) -> None:
    """Runs one case in this process and prints its seconds, CPU seconds, those of the fit, and peak memory."""
    lake = Lake(folder)
    if case.endswith((FIRST, NEW_DAY)):
        drop_kept(lake, lake.files("outcomes")[: 1 if case.endswith(NEW_DAY) else None])
    what = case.partition(",")[0]
    started, busy = time.perf_counter(), _cpu()
    fits: list[float] = []
    if what in {"group", "read"}:
        with lake.connect(threads=threads, memory_limit="3GB") as con:
            con.sql(READ if what == "read" else GROUP_BY.replace("{label}", LABEL)).to_arrow_table()
    elif what == "train":
        looks: list[float] = []
        for where, names in LOOKS.items():
            for name in names:
                setattr(where, name, _timed(getattr(where, name), looks))
        run = train_once(lake, clock=lambda: NOW, resources=Resources(threads, "3GB")).run
        assert run.status == "succeeded", run.error
        fits.append(_cpu() - busy - sum(looks))
    else:
        with lake.connect(threads=threads, memory_limit="3GB") as con:
            clips = load_clips(con, "default")
            outcomes = Outcomes.read(con, lake, "default", (DEFAULT_RULE, NOW))
            if what == "screened":
                outcomes = outcomes.screened(ScreeningLimits())
            evidence = outcomes.scored(Screening())
            (part,) = slices(evidence, clips, Parameters(segments=()))
        scores = _timed(score_clips, fits)(part, Parameters())
        fit = _timed(fit_models, fits)(part, scores, clips, Parameters(), 0)
        _timed(rank_models, fits)(part, scores, clips, evidence.summary, parameters=Parameters(), fit=fit)
    seconds = time.perf_counter() - started
    print(seconds, _cpu() - busy, sum(fits), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def _timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Returns the function, which notes the CPU seconds of every call."""

    def call(*given: Any, **named: Any) -> Any:
        began = _cpu()
        try:
            return function(*given, **named)
        finally:
            spent.append(_cpu() - began)

    return call


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Cost:
    """What a case takes: seconds, CPU seconds without those of the fit, and peak memory in GiB."""

    seconds: float
    work: float
    memory: float

    def least(self, other: "Cost | None") -> "Cost":
        """Returns the better of two runs; of memory the larger."""
        if other is None:
            return self
        return Cost(min(self.seconds, other.seconds), min(self.work, other.work), max(self.memory, other.memory))


def measure_ours(folder: Path, threads: int, rounds: int) -> dict[str, Cost]:
    """Runs every case as often, in turn."""
    costs: dict[str, Cost] = {}
    for case in ("group", *CASES) * rounds:
        command = [sys.executable, __file__, "--case", case, "--folder", str(folder), "--threads", str(threads)]
        seconds, busy, fit, memory = numbers_of(command)
        costs[case] = Cost(seconds, busy - fit, memory).least(costs.get(case))
        line = f"{case:17} {seconds:7.2f} s  CPU {busy:7.2f} s  of which fit {fit:5.2f} s  peak {memory:5.2f} GiB"
        print(line, flush=True)
    return costs


def measure_peers(folder: Path, given: argparse.Namespace) -> dict[str, Cost]:
    """Runs the peers, and ours on the same comparisons; tells of a peer that does not run."""
    if not (folder / "comparisons.parquet").exists():
        write_comparisons(folder / "comparisons.parquet", int(given.comparisons))
    costs: dict[str, Cost] = {}
    for peer in ("bradley_terry", "arena_rank", "choix") * 2 + (() if given.no_rows else ("rows_by_hand", "rows")):
        command = [sys.executable, str(PEERS), peer, str(folder), "--threads", str(given.threads)]
        try:
            seconds, busy, memory = numbers_of(command)
        except subprocess.CalledProcessError as error:
            print(f"{peer:13} did not run: {error.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        costs[peer] = Cost(seconds, busy, memory).least(costs.get(peer))
        print(f"{peer:13} {seconds:7.2f} s  CPU {busy:7.2f} s  peak {memory:5.2f} GiB", flush=True)
    return costs


def numbers_of(command: list[str]) -> list[float]:
    """Returns the numbers in the last line that a command prints."""
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(number) for number in out.strip().splitlines()[-1].split()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("outcomes", type=float, nargs="?", default=1e6)
    parser.add_argument("clips", type=float, nargs="?", default=2e4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--comparisons", type=float, default=1e6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-rows", action="store_true", help="leave out logistic regression, which takes minutes")
    parser.add_argument("--case")
    given = parser.parse_args()
    if given.case:
        measure(given.case, given.folder, given.threads)
        return
    folder = given.folder or Path(tempfile.mkdtemp(prefix="bench-train-"))
    if not (folder / "outcomes").exists():
        build(Lake(folder), int(given.outcomes), int(given.clips))
    ours, peers = measure_ours(folder, given.threads, given.rounds), measure_peers(folder, given)
    print("CPU time without the fit, and time with it, as a multiple of one GROUP BY clip_id with the same sums:")
    least = ours["group"]
    for case in CASES:
        print(f"  {case:17} {ours[case].work / least.work:.2f}  {ours[case].seconds / least.seconds:.2f}")
    against = {
        "rows": ours["screened"],
        "rows_by_hand": ours["screened"],
        "arena_rank": peers["bradley_terry"],
        "choix": peers["bradley_terry"],
    }
    for peer in [name for name in against if name in peers]:
        print(f"  {peer:12} takes {peers[peer].seconds / against[peer].seconds:.1f} times as long as ours")
        if peer.startswith("rows"):
            first = ours["screened, first"].seconds
            print(f"  {peer:12} takes {peers[peer].seconds / first:.1f} times as long as ours the first time")
    if given.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
