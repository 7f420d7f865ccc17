"""Simulated worlds as rows of the lake's ``events`` table."""

import datetime as dt

import duckdb
import numpy as np
import pyarrow as pa

from clapometer.lake.schema import EVENTS
from clapometer.simulation import TYPICAL_DURATION_MS, EngagementLog, World

FIRST_DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

_ENVELOPE = """'default' AS tenant, '/world' AS source, {id} AS id, {time} AS time, {time} AS client_time,
    {time} + INTERVAL 2 SECOND AS received_at, {trust} AS trust, CAST(hash({id}) // 2 AS BIGINT) AS event_key,
    CAST(hash({id}, 1) // 2 AS BIGINT) AS payload_hash, CAST({time} + INTERVAL 2 SECOND AS DATE) AS received_date"""


def _envelope(id_: str, time: str, trust: str = "'token'") -> str:
    return _ENVELOPE.format(id=id_, time=time, trust=trust)


def world_events(world: World, log: EngagementLog) -> pa.Table:
    """Returns registrations of the published clips, impressions, watch times and likes, saves, shares, dislikes."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    clips = {name: getattr(world.clips, name) for name in ("prompt", "model", "published_day", "published", "unit")}
    clips["clip"] = np.arange(len(world.clips.prompt))
    clips["duration_ms"] = (TYPICAL_DURATION_MS * np.exp(world.clips.log_duration)).astype(np.int64)
    clips["topic"] = world.prompts.topic[world.clips.prompt]
    clips["template"] = world.prompts.template[world.clips.prompt]
    clips["task"] = np.where(world.prompts.from_image, "i2v", "t2v")[world.clips.prompt]
    con.register("clips", pa.table(clips))
    rows = {name: getattr(log, name) for name in EngagementLog.__slots__} | {"i": np.arange(len(log))}
    con.register("log", pa.table(rows))
    con.register("empty", EVENTS.empty_table())
    con.execute("CREATE TABLE events AS FROM empty")
    start = f"TIMESTAMPTZ '{FIRST_DAY.isoformat()}'"
    shown = f"({start} + to_days(CAST(day AS INTEGER)) + to_seconds(second))"
    published = f"({start} + to_days(CAST(published_day AS INTEGER)))"
    reacted = f"({shown} + to_days(CAST(delay_days AS INTEGER)))"
    inserts = [
        f"""{_envelope("'c' || clip", published, "'key'")}, 'clip_registered' AS type, 'c' || clip AS clip_id,
        'p' || prompt AS prompt_id, 'Prompt ' || prompt AS prompt_text, 'model' AS model_name,
        CAST(model AS VARCHAR) AS model_version, duration_ms, task, 't' || template AS template_id,
        'topic ' || topic AS lineage_scenario, CASE WHEN unit != clip THEN 'c' || unit END AS flags_repost_of
        FROM clips WHERE published""",
        f"""{_envelope("'i' || i", shown)}, 'impression' AS type, 'i' || i AS impression_id, 'c' || clip AS clip_id,
        'v' || viewer AS viewer_id, CASE surface WHEN 1 THEN 'autoplay' ELSE 'feed' END AS surface, position,
        CASE WHEN isnan(propensity) THEN NULL ELSE propensity END AS propensity, candidates, explored,
        CASE viewer % 2 WHEN 0 THEN 'en' ELSE 'de' END AS locale
        FROM log""",
        f"""{_envelope("'w' || i", f"({shown} + INTERVAL 1 MINUTE)")}, 'watched' AS type, 'i' || i AS impression_id,
        CAST(watched_ms AS BIGINT) AS watched_ms, CAST(watched_ms AS BIGINT) AS total_ms
        FROM log""",
        *(
            f"""{_envelope(f"'{reaction}' || i", reacted)}, 'reacted' AS type, 'i' || i AS impression_id,
            '{reaction}' AS reaction
            FROM log WHERE "{reaction}" """
            for reaction in ("like", "save", "share", "dislike")
        ),
    ]
    for insert in inserts:
        con.execute(f"INSERT INTO events BY NAME SELECT {insert}")
    return con.sql("SELECT * FROM events ORDER BY received_at").to_arrow_table().cast(EVENTS)
