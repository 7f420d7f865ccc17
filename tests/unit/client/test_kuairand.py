import collections
import datetime as dt
import gzip
from pathlib import Path

import pytest

from clapometer.client import KuaiRand
from clapometer.domain import Event, InputError, decode_batch, encode_events, events

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
GOLDEN = Path(__file__).parents[2] / "golden" / "kuairand.ndjson"


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


def test_a_clip_of_impossible_length_is_refused_by_the_server_alone(tmp_path: Path) -> None:
    path = tmp_path / "reactions.tsv"
    path.write_text(HEADER + ROWS.replace("45915", "99999999").replace("2000\t99999999", "90000000\t99999999"))
    lines = encode_events(sent(KuaiRand(path))).splitlines()
    verdict = decode_batch(b"[" + b",".join(lines) + b"]", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert {letter.field for letter in verdict.rejected} == {"data.duration_ms", "data.watched_ms"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "KuaiRand's form"),
        (HEADER, "holds no row"),
        (HEADER.replace("label", "lable") + ROWS, "label"),
        (HEADER + ROWS.replace("45915", "long"), "long"),
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
