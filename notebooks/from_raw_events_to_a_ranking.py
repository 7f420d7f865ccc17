"""From raw events to a ranking: a marimo notebook over the published file of a lake.

``marimo edit notebooks/from_raw_events_to_a_ranking.py -- --lake .demo/…/lake`` after ``clapometer demo``.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="From raw events to a ranking")


@app.cell
def _():
    from pathlib import Path

    import altair as alt
    import duckdb
    import marimo as mo

    return Path, alt, duckdb, mo


@app.cell
def _(mo):
    mo.md(
        """
        # From raw events to a ranking

        One step at a time: events as players send them, one outcome for each impression, what raw
        rates say, why they mislead, and the ranking that takes out what misled them. Every number comes from plain SQL
        over the published file, which opens while events stream in.
        """
    )


@app.cell
def _(Path, duckdb, mo):
    given = mo.cli_args().get("lake")
    demos = sorted(Path(".demo").glob("*/lake"))
    folder = Path(given) if given else demos[-1] if demos else Path("lake")
    published = folder / "clapometer.duckdb"
    mo.stop(
        not published.exists(), mo.md(f"There is no `{published}`: run `clapometer demo`, or give `-- --lake FOLDER`.")
    )
    lake = duckdb.connect(str(published), read_only=True)
    mo.md(f"Reading `{published}`.")
    return (lake,)


@app.cell
def _(lake, mo):
    kinds = lake.sql(
        "SELECT type, count(*) AS events FROM events WHERE tenant = 'default' GROUP BY type ORDER BY 2 DESC"
    )
    mo.vstack([mo.md("## 1. Raw events"), mo.ui.table(kinds.to_arrow_table().to_pylist(), selection=None)])


@app.cell
def _(lake, mo):
    folded = lake.sql(
        "SELECT impression_id, position, propensity, watched_ms, duration_ms, liked, completed, counted "
        "FROM measures WHERE tenant = 'default' AND liked ORDER BY impression_id LIMIT 5"
    )
    mo.vstack(
        [
            mo.md("## 2. One outcome for each impression\n\nHowever often and in whatever order events came."),
            mo.ui.table(folded.to_arrow_table().to_pylist(), selection=None),
        ]
    )


@app.cell
def _(alt, lake, mo):
    lengths = lake.sql(
        "SELECT floor(duration_ms / 2000) * 2 AS seconds, avg(completed::INT) AS completion_rate, "
        "avg(watch_quantile) AS duration_adjusted FROM counted_measures "
        "WHERE tenant = 'default' AND duration_ms < 30000 GROUP BY ALL HAVING count(*) > 200 ORDER BY 1"
    ).to_arrow_table()
    points = [
        {"seconds": row["seconds"], "share": row[name], "what": name}
        for row in lengths.to_pylist()
        for name in ("completion_rate", "duration_adjusted")
    ]
    chart = alt.Chart(alt.Data(values=points)).mark_line(point=True).encode(x="seconds:Q", y="share:Q", color="what:N")
    mo.vstack(
        [
            mo.md(
                "## 3. Raw completion measures length\n\nLonger clips are finished less, whatever is in them. The "
                "watch quantile compares each view with views of clips as long: it is flat."
            ),
            chart,
        ]
    )


@app.cell
def _(lake, mo):
    positions = lake.sql(
        "SELECT position, avg(started::INT) AS start_rate, avg(liked::INT) AS like_rate, count(*) AS impressions "
        "FROM measures WHERE tenant = 'default' AND counted AND explored GROUP BY position ORDER BY position"
    )
    mo.vstack(
        [
            mo.md("## 4. So does place\n\nAmong impressions filled by chance, what is shown first is looked at more."),
            mo.ui.table(positions.to_arrow_table().to_pylist(), selection=None),
        ]
    )


@app.cell
def _(alt, lake, mo):
    ranking = lake.sql(
        "SELECT item, rank, effect, effect_low, effect_high, completion_rate FROM rankings_current "
        "WHERE tenant = 'default' AND subject = 'model_versions' AND segment = 'all' AND rank IS NOT NULL ORDER BY rank"
    ).to_arrow_table()
    rows = ranking.to_pylist()
    mo.stop(not rows, mo.md("No run has ranked anything yet: `clapometer train`."))
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("item:N", sort=[row["item"] for row in rows]))
    forest = base.mark_rule().encode(x="effect_low:Q", x2="effect_high:Q") + base.mark_point(filled=True).encode(
        x="effect:Q"
    )
    mo.vstack(
        [
            mo.md(
                "## 5. The ranking\n\nClip scores weighted by the inverse of the logged propensities, compared "
                "within prompts, with 95 % intervals clustered by prompt."
            ),
            forest,
        ]
    )
    return (rows,)


@app.cell
def _(mo, rows):
    by_rate = sorted(rows, key=lambda row: -row["completion_rate"])
    moved = [{"item": row["item"], "rank": row["rank"], "by raw completion": by_rate.index(row) + 1} for row in rows]
    mo.vstack(
        [
            mo.md("## 6. What raw completion would have said"),
            mo.ui.table(moved, selection=None),
        ]
    )


if __name__ == "__main__":
    app.run()
