import codecs
import datetime as dt
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clapometer.domain import InputError, events
from clapometer.traffic import EventFile

CSV = """type,id,time,source,clip_id,prompt_text,model_name,model_version,duration_ms,task,impression_id,viewer_id,\
propensity,explored,watched_ms,played_segments,reaction
clip_registered,e1,2026-05-04T12:00:00Z,/lab,c1,"a fox, running",lumen,1.0,8000,t2v,,,,,,,
impression,e2,2026-05-04T12:00:01Z,/lab,c1,,,,,,i1,v1,0.25,true,,,
watched,e3,2026-05-04 12:00:02+00:00,,,,,,,,i1,,,,,"[[0, 1000]]",
clapometer.reacted.v1,e4,2026-05-04T12:00:03Z,/lab,,,,,,,i1,,,,,,like
"""


def file(path: Path, content: str | bytes, **changes: object) -> EventFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return EventFile(path, source="/replay/default", **changes)  # type: ignore[arg-type]


def one_row(**cells: str) -> str:
    row = {"type": "impression", "id": "e", "time": "2026-05-04T12:00:00Z", "impression_id": "i", "clip_id": "c",
           "viewer_id": "v"} | cells  # fmt: skip
    return ",".join(row) + "\n" + ",".join(row.values()) + "\n"


def test_columns_named_as_the_fields_become_events(tmp_path: Path) -> None:
    clip, shown, watched, liked = file(tmp_path / "e.csv", CSV).events()
    assert isinstance(clip, events.ClipRegistered)
    assert (clip.source, clip.data.prompt.text, clip.data.model.name) == ("/lab", "a fox, running", "lumen")
    assert isinstance(shown, events.Impression)
    assert (shown.data.propensity, shown.data.explored, shown.data.position) == (0.25, True, None)
    assert isinstance(watched, events.Watched)
    assert (watched.source, watched.data.played_segments) == ("/replay/default", [(0, 1000)])
    assert isinstance(liked, events.Reacted)
    assert liked.data.reaction == "like"


@pytest.mark.parametrize("name", ["e.csv.gz", "E.TSV", "e.csv"])
def test_the_format_is_read_off_the_name(tmp_path: Path, name: str) -> None:
    text = one_row().replace(",", "\t") if "TSV" in name else one_row()
    content = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
    assert len(list(file(tmp_path / name, content).events())) == 1


def test_a_semicolon_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    assert len(list(file(tmp_path / "e.csv", "\ufeff" + one_row().replace(",", ";")).events())) == 1


def test_parquet_rows_become_events(tmp_path: Path) -> None:
    moment = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
    table = pa.table(
        {
            "type": ["impression", "watched"],
            "id": ["e1", "e2"],
            "time": pa.array([moment, moment], pa.timestamp("us", tz="UTC")),
            "impression_id": ["i", "i"],
            "clip_id": ["c", None],
            "viewer_id": ["v", None],
            "position": pa.array([3, None], pa.int32()),
            "played_segments": pa.array([None, [[0, 5]]], pa.list_(pa.list_(pa.int64()))),
        }
    )
    pq.write_table(table, tmp_path / "e.parquet")
    shown, watched = EventFile(tmp_path / "e.parquet", source="/s").events()
    assert isinstance(shown, events.Impression)
    assert (shown.time, shown.data.position) == (moment, 3)
    assert isinstance(watched, events.Watched)
    assert watched.data.played_segments == [(0, 5)]


def test_lines_of_json_may_be_flat_or_cloudevents(tmp_path: Path) -> None:
    flat = '{"type":"reacted","id":"a","time":"2026-05-04T12:00:00Z","impression_id":"i","reaction":"like"}'
    cloud = (
        '{"specversion":"1.0","type":"clapometer.reacted.v1","id":"b","source":"/web","time":"2026-05-04T12:00:00Z",'
        '"data":{"impression_id":"i","reaction":"save"}}'
    )
    first, second = file(tmp_path / "e.ndjson", f"{flat}\n\n{cloud}\n").events()
    assert (first.source, first.id, second.source, second.id) == ("/replay/default", "a", "/web", "b")


def test_bad_rows_are_reported_by_number_and_cost_no_other(tmp_path: Path) -> None:
    rows = [
        "impression,e1,2026-05-04T12:00:00Z,i1,c,v,0.5",
        "impression,e2,2026-05-04T12:00:00Z,i2,c,v,1.5",
        "impression,e3,2026-05-04T12:00:00Z,i3,c,v,often",
        "impression,e4,2026-05-04T12:00:00,i4,c,v,0.5",
        "impression,,2026-05-04T12:00:00Z,i5,c,v,0.5",
        "looked,e6,2026-05-04T12:00:00Z,i6,c,v,0.5",
        "impression,e7,2026-05-04T12:00:00Z,i7",
        "impression,e8,2026-05-04T12:00:00Z,i8,c,v,nan",
        "impression,e9,2026-05-04T12:00:00Z,i9,c,v,0.5",
    ]
    text = "type,id,time,impression_id,clip_id,viewer_id,propensity\n" + "\n".join(rows)
    source = file(tmp_path / "e.csv", text)
    assert [event.id for event in source.events()] == ["e1", "e9"]
    assert (source.rows, source.n_bad) == (9, 7)
    told = {row.number: row.reason for row in source.bad}
    assert list(told) == [2, 3, 4, 5, 6, 7, 8]
    for number, part in zip(
        told, ["propensity", "propensity: 'often'", "zone", "id:", "looked", "4 cells", "propensity"], strict=True
    ):
        assert part in told[number]


def test_a_cell_that_is_no_utf8_costs_its_row_only(tmp_path: Path) -> None:
    text = one_row().encode() + one_row(viewer_id="BAD").encode().splitlines()[1].replace(b"BAD", b"\xff\xfe")
    source = file(tmp_path / "e.csv", text)
    assert len(list(source.events())) == 1
    assert [row.number for row in source.bad] == [2]


def test_lines_that_are_no_json_object_are_reported(tmp_path: Path) -> None:
    source = file(tmp_path / "e.jsonl", "{\n[1]\n" + "[" * 100_000 + '\n{"type":"impression","nonsense":1}\n')
    assert list(source.events()) == []
    assert [row.number for row in source.bad] == [1, 2, 3, 4]
    assert "unknown column `nonsense`" in source.bad[3].reason


@pytest.mark.parametrize(("column", "hint"), [("clipid", "did you mean `clip_id`"), ("zzz", "known are")])
def test_unknown_columns_are_refused_by_name(tmp_path: Path, column: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"unknown column `{column}`.*{hint}"):
        list(file(tmp_path / "e.csv", one_row(**{column: "x"})).events())
    pq.write_table(pa.table({column: ["x"]}), tmp_path / "e.parquet")
    with pytest.raises(InputError, match=f"unknown column `{column}`"):
        list(EventFile(tmp_path / "e.parquet", source="/s").events())


def test_times_without_a_zone_are_utc_only_when_said_so(tmp_path: Path) -> None:
    text = one_row(time="2026-05-04 12:00:00")
    strict = file(tmp_path / "e.csv", text)
    assert list(strict.events()) == []
    assert "zone" in strict.bad[0].reason
    (event,) = file(tmp_path / "e.csv", text, assume_utc=True).events()
    assert event.time == dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("e.xlsx", b"", "format is not known"),
        ("events", b"", "format is not known"),
        ("e.parquet", b"not parquet", "cannot be read"),
        ("e.csv.gz", b"not gzip", "cannot be read"),
        ("e.csv.gz", gzip.compress(one_row().encode() * 1000, mtime=0)[:60], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        list(file(tmp_path / name, content).events())
    assert name in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(EventFile(tmp_path / "e.csv", source="/s").events())


def test_reading_a_file_again_counts_again(tmp_path: Path) -> None:
    source = file(tmp_path / "e.csv", one_row() + "x\n")
    assert len(list(source.events())) == len(list(source.events())) == 1
    assert (source.rows, source.n_bad, len(source.bad)) == (2, 1, 1)


def test_shifted_events_end_when_asked_and_keep_their_distances(tmp_path: Path) -> None:
    source = file(tmp_path / "e.csv", CSV)
    moment = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    moved = list(source.shifted(moment))
    assert [(moment - event.time).seconds for event in moved] == [3, 2, 1, 0]
    assert [event.id for event in moved] == [event.id for event in source.events()]
    assert list(file(tmp_path / "none.csv", "type,id,time\n").shifted(moment)) == []


def test_a_byte_order_mark_costs_no_line_of_json(tmp_path: Path) -> None:
    row = b'{"type": "watched", "id": "%d", "time": "2026-05-04T12:00:00Z", "impression_id": "i", "watched_ms": 5}'
    (tmp_path / "e.ndjson").write_bytes(codecs.BOM_UTF8 + b"\r\n".join(row % number for number in range(2)))
    source = EventFile(tmp_path / "e.ndjson", source="/s")
    assert ([event.id for event in source.events()], source.bad) == (["0", "1"], [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_a_table_of_another_encoding_is_told_so(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "e.csv").write_text("type,id,näme\n", encoding=encoding)
    with pytest.raises(InputError, match="its first line is not UTF-8; save it as UTF-8"):
        list(EventFile(tmp_path / "e.csv", source="/s").events())


def test_a_json_array_in_place_of_lines_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "e.ndjson").write_text('[{"type": "watched"}]')
    source = EventFile(tmp_path / "e.ndjson", source="/s")
    assert list(source.events()) == []
    (row,) = source.bad
    assert row.reason.startswith("a JSON array, not one object a line; write each on a line of its own")
