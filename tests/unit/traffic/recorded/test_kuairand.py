import collections
import datetime as dt
import gzip
from pathlib import Path

import pytest

from clapometer.domain import Event, InputError, decode_batch, encode_events, events
from clapometer.traffic import KuaiRand

HEADER = (
    "user_id\tvideo_id\tdate\thourmin\ttime_ms\tis_click\tis_follow\tis_comment\tis_forward\tlong_view\t"
    "play_time_ms\tduration_ms\tcomment_stay_time\tis_profile_enter\tlabel\ttimestamp\n"
)
ROWS = (
    "7\t51\t20220411\t1600\t1649664552983\t0\t1\t1\t1\t0\t14549\t9000\t0\t0\t1\t2022-04-11 08:09:12\n"
    "7\t50\t20220410\t1700\t1649581149287\t1\t0\t0\t0\t1\t2000\t45915\t7639\t0\t0\t2022-04-10 08:59:09\n"
    "8\t52\t20220410\t1700\t1649581149000\t1\t0\t0\t0\t1\t2000\t0\t7639\t0\t0\t2022-04-10 08:59:09\n"
    "7\t50\t20220410\t1800\t1649581149287\t1\t0\t0\t0\t1\t2000\t45915\t7639\t0\t0\t2022-04-10 08:59:09\n"
)
FEATURES = "video_id,author_id,video_type\n50,900,AD\n52,901,NORMAL\n"
GOLDEN = Path(__file__).parents[3] / "golden" / "kuairand.ndjson"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "reactions.tsv.gz"
    path.write_bytes(gzip.compress((HEADER + ROWS).encode()))
    (tmp_path / "video_features_basic_pure.csv.gz").write_bytes(gzip.compress(FEATURES.encode()))
    return path


def sent(source: KuaiRand, ends_at: dt.datetime | None = None) -> list[Event]:
    return list(source.events(ends_at))


def test_rows_become_the_events_we_promised(sample: Path) -> None:
    assert encode_events(sent(KuaiRand(sample))).decode() == GOLDEN.read_text()


def test_every_event_of_a_sane_row_is_accepted(sample: Path) -> None:
    body = b"[" + b",".join(encode_events(sent(KuaiRand(sample))).splitlines()) + b"]"
    verdict = decode_batch(body, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert verdict.rejected == []


def test_what_is_dropped_and_what_repeats_is_counted(sample: Path) -> None:
    counts = KuaiRand(sample).counts
    assert counts.events == len(sent(KuaiRand(sample)))
    assert (counts.rows, counts.images, counts.repeated, counts.clips) == (4, 1, 1, 2)


def test_repeated_rows_are_sent_and_share_their_ids(sample: Path) -> None:
    ids = collections.Counter(event.id for event in sent(KuaiRand(sample)))
    twice = {id_ for id_, n in ids.items() if n == 2}
    impression = "kuairand-7-50-1649581149287"
    assert twice == {impression, f"{impression}-watched", f"{impression}-dislike"}
    assert max(ids.values()) == 2


def test_clips_come_before_impressions_and_impressions_by_time(sample: Path) -> None:
    kinds = [type(event) for event in sent(KuaiRand(sample))]
    assert kinds[:2] == [events.ClipRegistered] * 2
    shown = [event.time for event in sent(KuaiRand(sample)) if isinstance(event, events.Impression)]
    assert shown == sorted(shown)


def test_shifted_times_end_when_asked_and_keep_their_ids(sample: Path) -> None:
    source = KuaiRand(sample)
    moment = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
    moved = sent(source, moment)
    assert max(event.time for event in moved if isinstance(event, events.Impression)) == moment
    assert [event.id for event in moved] == [event.id for event in sent(source)]


def test_without_features_clips_have_no_author_and_no_ad(sample: Path) -> None:
    (sample.parent / "video_features_basic_pure.csv.gz").unlink()
    clips = [event for event in sent(KuaiRand(sample)) if isinstance(event, events.ClipRegistered)]
    assert [(clip.data.lineage, clip.data.flags) for clip in clips] == [(None, None)] * 2


PUBLISHED = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
    "7,50,20220422,900,1650589200000,1,1,0,0,0,0,1,5000,9000,0,0,0,0,1\n"
    "7,51,20220422,900,1650589201000,0,0,0,0,0,1,0,100,9000,0,0,0,1,4\n"
    "8,51,20220422,900,1650589202000,0,0,0,0,1,0,0,300,9000,0,0,0,1,4\n"
)


@pytest.mark.parametrize(
    "name",
    [
        "log_standard_4_22_to_5_08_pure.csv",
        "log_random_4_22_to_5_08_1k.csv.gz",
        "log_standard_4_08_to_4_21_27k_part1.csv",
    ],
)
def test_a_log_as_published_is_taken_with_its_features_beside_it(tmp_path: Path, name: str) -> None:
    content = PUBLISHED.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    for release, author in (("pure", 1), ("1k", 2), ("27k", 3)):
        (tmp_path / f"video_features_basic_{release}.csv").write_text(
            f"video_id,author_id,video_type\n50,{author},AD\n"
        )
    source = KuaiRand(tmp_path / name)
    clips = [event for event in sent(source) if isinstance(event, events.ClipRegistered)]
    author = "1" if "pure" in name else "2" if "1k" in name else "3"
    assert [clip.data.lineage and clip.data.lineage.creator_id for clip in clips] == [f"kuairand-author-{author}", None]
    assert source.counts.events == len(sent(source))
    assert source.counts.explored == 2


def test_a_slot_filled_at_random_is_explored_and_has_no_made_up_propensity(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(PUBLISHED)
    found = sent(KuaiRand(tmp_path / "log.csv"))
    shown = [event.data for event in found if isinstance(event, events.Impression)]
    assert [view.explored for view in shown] == [False, True, True]
    assert {(view.propensity, view.candidates) for view in shown} == {(None, None)}
    assert [view.surface for view in shown] == ["kuairand-tab-1", "kuairand-tab-4", "kuairand-tab-4"]
    said = [event.data.reaction for event in found if isinstance(event, events.Reacted)]
    assert said == ["like", "dislike", "share"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PUBLISHED.replace("is_like", "liked"), "no label or is_like"),
        (PUBLISHED.replace("time_ms", "time"), "no time_ms, play_time_ms"),
        ("\x1f\x8b", "KuaiRand's form"),
        ("", "KuaiRand's form"),
        (HEADER, "holds no row"),
        (HEADER.replace("label", "lable") + ROWS, "label"),
    ],
)
def test_a_file_of_another_form_is_named_with_what_is_wrong(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "reactions.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=reason) as refused:
        KuaiRand(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        KuaiRand(tmp_path / "reactions.tsv.gz")


GOOD, AFTER = (line + "\n" for line in ROWS.splitlines()[:2])


def with_cell(column: str, cell: str, header: str = HEADER, row: str = AFTER, delimiter: str = "\t") -> str:
    cells = row.rstrip("\n").split(delimiter)
    cells[header.rstrip("\n").split(delimiter).index(column)] = cell
    return delimiter.join(cells) + "\n"


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("time_ms", "abc", "'abc' is not a whole number"),
        ("time_ms", "", "the cell is empty"),
        ("time_ms", "1649581149", "1649581149 is no time from 2017 until tomorrow"),
        ("time_ms", "99999999999999", "99999999999999 is no time"),
        ("time_ms", "9" * 30, "is no time"),
        ("time_ms", "-1649581149287", "-1649581149287 is no time"),
        ("time_ms", "nan", "'nan' is not a whole number"),
        ("user_id", " ", "the cell is empty"),
        ("user_id", "-1", "'-1' is not a whole number >= 0"),
        ("video_id", "1.5", "'1.5' is not a whole number"),
        ("video_id", "9" * 20, "is not a whole number <= 9007199254740992"),
        ("video_id", "\udcff", "bytes that are no UTF-8"),
        ("duration_ms", "-5", "'-5' is not a whole number >= 0"),
        ("duration_ms", "99999999", "'99999999' is not a whole number <= 21600000"),
        ("play_time_ms", "90000000", "'90000000' is not a whole number <= 86400000"),
        ("play_time_ms", "inf", "'inf' is not a whole number"),
        ("is_follow", "yes", "'yes' is not a whole number"),
        ("label", "2", "'2' is not a whole number <= 1"),
        ("label", "", "the cell is empty"),
    ],
)
def test_a_bad_cell_costs_its_row_alone(tmp_path: Path, column: str, cell: str, reason: str) -> None:
    path = tmp_path / "reactions.tsv"
    text = HEADER + GOOD + with_cell(column, cell) + AFTER
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    source = KuaiRand(path)
    assert (source.counts.rows, source.counts.bad, source.counts.clips) == (3, 1, 2)
    (row,) = source.read.bad
    assert row.number == 2
    assert row.reason.startswith(f"{column}: ")
    assert reason in row.reason
    (tmp_path / "mended.tsv").write_text(HEADER + GOOD + AFTER)
    assert sent(source) == sent(KuaiRand(tmp_path / "mended.tsv"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (AFTER.rstrip("\n") + "\t9\n", "17 cells under 16 columns"),
        (AFTER.rsplit("\t", 1)[0] + "\n", "15 cells under 16 columns"),
        ("what is this?\n", "1 cells under 16 columns"),
        (AFTER[:30], "cells under 16 columns"),
        (with_cell("video_id", '"5'), "2 cells under 16 columns"),
    ],
)
def test_a_row_of_another_length_is_left_out_also_at_a_cut_end(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "reactions.tsv"
    path.write_text(HEADER + GOOD + AFTER + "\n" + line)
    source = KuaiRand(path)
    assert [(row.number, reason in row.reason) for row in source.read.bad] == [(3, True)]
    assert source.counts.events == len(sent(source)) > 0


@pytest.mark.parametrize(("column", "cell"), [("is_like", ""), ("is_hate", ""), ("is_rand", "x"), ("tab", "home")])
def test_a_bad_cell_of_a_published_log_costs_its_row_alone(tmp_path: Path, column: str, cell: str) -> None:
    header, *rows = PUBLISHED.splitlines(keepends=True)
    (tmp_path / "log.csv").write_text(header + with_cell(column, cell, header, rows[0], ",") + rows[1] + rows[2])
    source = KuaiRand(tmp_path / "log.csv")
    assert [row.reason.split(":")[0] for row in source.read.bad] == [column]
    assert len([event for event in sent(source) if isinstance(event, events.Impression)]) == 2


def test_numbers_that_pandas_wrote_and_quoted_cells_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "reactions.tsv"
    path.write_text(HEADER + with_cell("duration_ms", "45915.0") + with_cell("video_id", '"50"'))
    assert KuaiRand(path).read.bad == []


def test_where_every_row_is_bad_each_is_told_and_nothing_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "reactions.tsv"
    path.write_text(HEADER + with_cell("time_ms", "abc") * 3)
    source = KuaiRand(path)
    assert sent(source, dt.datetime(2026, 5, 4, tzinfo=dt.UTC)) == []
    assert (source.counts.bad, list(source.read.reasons.values())) == (3, [3])


def test_a_bad_row_of_features_costs_what_it_says_alone(sample: Path) -> None:
    features = sample.parent / "features.csv"
    features.write_text("video_id,author_id,video_type\n51,who,NORMAL\n50,900,AD\n50\n50,900,AD\n")
    source = KuaiRand(sample, features)
    clips = [event.data for event in sent(source) if isinstance(event, events.ClipRegistered)]
    assert [clip.lineage and clip.lineage.creator_id for clip in clips] == ["kuairand-author-900", None]
    assert [(row.number, row.reason.split(":")[0]) for row in source.features_read.bad] == [
        (1, "author_id"),
        (3, "1 cells under 3 columns"),
    ]
    assert source.counts.events == len(sent(source))


def test_a_packed_file_whose_end_is_missing_is_refused_with_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "reactions.tsv.gz"
    path.write_bytes(gzip.compress((HEADER + ROWS * 5_000).encode())[:-8])
    with pytest.raises(
        InputError, match=r"cannot be read beyond row [1-9][0-9,]*: .*Nothing was sent; get the file again"
    ):
        KuaiRand(path)
