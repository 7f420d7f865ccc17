"""The loader: every event once, every refusal told, whatever happens in between."""

import datetime as dt
import shutil
import threading

import duckdb
import pytest
from tests.support.builders import NOW, block, event, impression, registered, watched
from tests.support.waiting import until

from clapometer.domain import Event, RejectedEvent, encode_block
from clapometer.eventlog import EmbeddedLog, MemoryLog
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake
from clapometer.loading import loader as module
from clapometer.loading.loader import Loader, LoadSettings


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


@pytest.fixture
def log():
    return MemoryLog()


def loader(log, lake, **settings) -> Loader:
    return Loader(log, lake, LoadSettings(threads=1, **settings), clock=lambda: NOW)


def load(log, lake, *blocks: bytes) -> module.LoadReport:
    """Appends blocks and loads them with a loader made for it."""
    log.append_many(blocks)
    one = loader(log, lake)
    report = one.load_once()
    one.close()
    return report


def rows(lake: Lake, query: str) -> list[tuple]:
    with lake.connect(threads=1) as connection:
        return connection.execute(query).fetchall()


def ids(lake: Lake) -> list[str]:
    return [id_ for (id_,) in rows(lake, "SELECT id FROM events ORDER BY id")]


# Bad input


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: b"",
        lambda good: b"garbage",
        lambda good: good[:-20],
        lambda good: good[:40] + bytes([good[40] ^ 4]) + good[41:],
        lambda good: good[:-30] + bytes([good[-30] ^ 1]) + good[-29:],
        lambda good: good + b"{}\n",
    ],
    ids=["empty", "garbage", "torn", "bit flip in the header", "bit flip in an event", "more lines"],
)
def test_a_damaged_block_is_quarantined_whole_and_the_others_are_read(log, lake, damage):
    bad = damage(block([watched("lost-1"), watched("lost-2")]))
    report = load(log, lake, block([watched("a")]), bad, block([watched("b")]))
    assert ids(lake) == ["a", "b"]
    assert (report.stored, report.rejected, report.corrupt) == (2, 1, 1)
    (found,) = rows(lake, "SELECT reason LIKE 'corrupt block: %', from_base64(raw), \"offset\" FROM rejected")
    assert found == (True, bad, 1)
    assert ledger_difference(lake) == 0


def test_impressions_that_weigh_nothing_are_counted_per_sender(log, lake):
    given = [impression("a", source="/app"), impression("b", source="/app"), impression("c", source="/web")]
    load(log, lake, block([*given, watched("w", source="/app")], trust="none", exceptions={1: "forged", 2: "token"}))
    load(log, lake, block(given, trust="none"))
    found = rows(lake, "SELECT source, sum(weightless), sum(stored) FROM ledger GROUP BY source ORDER BY source")
    assert found == [("/app", 2, 3), ("/web", 0, 1)]
    assert ledger_difference(lake) == 0


def test_what_is_counted_and_shown_of_refusals_is_a_closed_list(log, lake):
    wild = [RejectedEvent(reason=f"by sender {n}: x", code="made up") for n in range(60)]
    known = RejectedEvent(reason="unknown field", code="unknown_field", id="k")
    report = load(log, lake, block([], rejected=[*wild, known]), b"garbage")
    assert report.reasons == {"other": 60, "unknown_field": 1, "corrupt_block": 1}
    assert rows(lake, "SELECT code, count(*) FROM rejected GROUP BY code ORDER BY code") == [
        ("corrupt_block", 1), ("other", 60), ("unknown_field", 1),
    ]  # fmt: skip


def test_dead_letters_say_the_trace_of_their_request(log, lake):
    refused = RejectedEvent(reason="no such type", id="r")
    load(log, lake, block([watched("a")], rejected=[refused], trace_id="aa" * 16))
    load(log, lake, block([watched("a", ms=7)], trace_id="bb" * 16), block([watched("b")], trace_id="cc" * 16))
    load(log, lake, block([], rejected=[RejectedEvent(reason="no trace", id="s")]))
    found = rows(lake, "SELECT id, trace_id FROM rejected ORDER BY trace_id NULLS LAST")
    assert found == [("r", "aa" * 16), ("a", "bb" * 16), ("s", None)]


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"id":"x"}', b"null", b"not json", b'{"id":"x","source":"s","type":"t"}']
)
def test_a_line_that_is_no_event_costs_no_other_line_of_its_block(log, lake, line):
    good = block([watched("a"), watched("b")]).partition(b"\n")[2].splitlines(keepends=True)
    foreign = encode_block(
        good[0] + line + b"\n" + good[1], 3, tenant="default", received_at=NOW, exceptions={2: "token"}
    )
    report = load(log, lake, foreign)
    assert rows(lake, "SELECT id, trust FROM events ORDER BY id") == [("a", "none"), ("b", "token")]
    assert (report.stored, report.rejected) == (2, 1)
    assert rows(lake, "SELECT raw FROM rejected") == [(line.decode() + "\n",)]
    assert ledger_difference(lake) == 0


def test_what_the_collector_refused_is_kept_with_its_reason_and_bytes(log, lake):
    refused = [
        RejectedEvent(reason="bad clip", field="data.clip_id", id="x", source="/s", raw='{"id": "x"}'),
        RejectedEvent(reason="no UTF-8", raw="/w==", encoding="base64"),
    ]
    report = load(log, lake, block([watched("a")], rejected=refused), block([], rejected=refused[:1]))
    assert (report.received, report.stored, report.rejected) == (4, 1, 3)
    found = rows(lake, "SELECT reason, field, id, source, raw, encoding FROM rejected ORDER BY reason DESC LIMIT 1")
    assert found == [("no UTF-8", "", None, None, "/w==", "base64")]
    assert ledger_difference(lake) == 0


def test_a_block_of_nothing_but_refusals_is_loaded(log, lake):
    report = load(log, lake, block([], rejected=[RejectedEvent(reason="bad")]))
    assert (report.received, report.rejected, report.stored) == (1, 1, 0)
    assert load(log, lake, b"garbage").corrupt == 1
    assert loader(log, lake).load_once().blocks == 0
    assert ledger_difference(lake) == 0


# Rows


def test_an_event_becomes_a_row_with_typed_columns(log, lake):
    shown = impression(
        "i", propensity=0.25, position=3, experiment=[{"id": "e", "variant": "b"}], muted_start=True, token="secret"
    )
    load(log, lake, block([shown], tenant="acme", trust="token"))
    query = (
        "SELECT tenant, type, source, impression_id, propensity, position, experiment, muted_start, trust, "
        "epoch(received_at), received_date, watched_ms FROM events"
    )
    assert rows(lake, query) == [
        ("acme", "impression", "/test", "i", 0.25, 3, '[{"id":"e","variant":"b"}]', True, "token",
         NOW.timestamp(), NOW.date(), None),
    ]  # fmt: skip
    with lake.connect(threads=1) as connection:
        assert "secret" not in str(connection.sql("SELECT * FROM events").to_arrow_table().to_pylist())


def test_every_kind_of_event_is_stored(log, lake):
    kinds: list[Event] = [
        registered("1", references=[{"role": "style", "media": "image"}], params={"steps": 5}, cost={"amount": 0.1}),
        event("clip_withdrawn", "2", {"clip_id": "clip", "reason": "rights"}),
        impression("3"),
        watched("4", played_segments=[[0, 500]]),
        event("reacted", "5", {"impression_id": "3", "reaction": "like"}),
        event("converted", "6", {"impression_id": "3", "kind": "purchase", "value": 9.5, "currency": "EUR"}),
        event("voted", "7", {"left_impression_id": "3", "right_impression_id": "4", "result": "tie"}),
        event("creator_acted", "8", {"action": "accepted", "prompt_id": "p", "shown_clip_ids": ["clip", "d"]}),
        event("viewer_erased", "9", {"viewer_id": "viewer"}),
    ]
    assert load(log, lake, block(kinds)).stored == 9
    assert len(rows(lake, "SELECT DISTINCT type FROM events")) == 9
    assert rows(lake, "SELECT params, \"references\", cost_amount, training_allowed FROM events WHERE id = '1'") == [
        ('{"steps":5}', '[{"role":"style","media":"image"}]', 0.1, None)
    ]
    assert rows(lake, "SELECT played_segments FROM events WHERE id = '4'") == [("[[0,500]]",)]
    assert rows(lake, "SELECT shown_clip_ids FROM events WHERE id = '8'") == [('["clip","d"]',)]


def test_text_of_any_kind_comes_back_as_it_was(log, lake):
    text = 'a "cat"\\ \n\r\t \u2028 \U0001f44f é\x7f\x1f ,"specversion":"1.0","data":{'
    load(log, lake, block([registered("1", clip=text[:100], prompt={"text": text}), watched("2", source=text[:100])]))
    assert rows(lake, "SELECT clip_id, prompt_text FROM events WHERE id = '1'") == [(text[:100], text)]
    assert rows(lake, "SELECT source FROM events WHERE id = '2'") == [(text[:100],)]


def test_prompts_with_the_same_words_have_the_same_id_and_a_given_hash_wins(log, lake):
    same = [registered(str(number), clip=str(number)) for number in range(2)]
    negative = registered("2", prompt={"text": "a cat", "negative": "dogs"})
    hashed = registered("3", prompt={"hash": "given", "text": "a cat"})
    load(log, lake, block([*same, negative, hashed]))
    found = dict(rows(lake, "SELECT id, prompt_id FROM events"))
    assert found["0"] == found["1"]
    assert len(found["0"]) == 32
    assert found["2"] not in (found["0"], None)
    assert found["3"] == "given"


def test_trust_is_that_of_the_block_but_for_its_exceptions(log, lake):
    first = block([watched("a"), watched("b")], trust="key", exceptions={1: "forged"})
    load(log, lake, first, block([watched("c")], trust="none"))
    assert rows(lake, "SELECT id, trust FROM events ORDER BY id") == [("a", "key"), ("b", "forged"), ("c", "none")]


@pytest.mark.parametrize(
    ("time_s", "sentat_s", "expected_s"),
    [
        (-60, None, -60),
        (-60, 0, -60),
        (3540, 3600, -60),
        (-86_460, -86_400, -60),
        (-66, -6, -66),
        (-666, -600, -66),
        (0, -0.85, 0),
        (86_400 * 400, 86_400 * 400 - 0.85, 0),
        (100, 40, 0),
        (0, 4_000_000_000, 0),
    ],
    ids=[
        "not said when sent",
        "right clock",
        "an hour ahead",
        "a day behind",
        "right clock, six seconds on its way",
        "ten minutes on its way or behind",
        "whole seconds",
        "whole seconds, 400 days ahead",
        "sent before it happened",
        "absurd age",
    ],
)
def test_the_clock_of_the_client_is_corrected_by_when_it_says_it_sent(log, lake, time_s, sentat_s, expected_s):
    def at(seconds: float) -> str:
        return (NOW + dt.timedelta(seconds=seconds)).isoformat()

    sent = {} if sentat_s is None else {"sentat": at(sentat_s)}
    data = {"impression_id": "i", "watched_ms": 1}
    load(log, lake, block([event("watched", "a", data, time=at(time_s), **sent)]))
    found = rows(lake, "SELECT epoch(time), epoch(client_time) FROM events")
    assert found == [(NOW.timestamp() + expected_s, NOW.timestamp() + time_s)]


def test_events_received_on_two_days_go_to_two_partitions(log, lake):
    later = NOW + dt.timedelta(days=1)
    load(log, lake, block([watched("a")]), block([watched("b"), watched("a")], received_at=later))
    assert rows(lake, "SELECT id, received_date FROM events ORDER BY id") == [("a", NOW.date()), ("b", later.date())]
    assert ledger_difference(lake) == 0


# Duplicates and conflicts


def test_a_repeated_event_is_stored_once_wherever_it_is_repeated(log, lake):
    same = watched("a")
    report = load(log, lake, block([same, same]), block([same]))
    assert (report.received, report.stored, report.duplicate, report.conflict) == (3, 1, 2, 0)
    report = load(log, lake, block([same, watched("b")]))
    assert (report.received, report.stored, report.duplicate, report.conflict) == (2, 1, 1, 0)
    assert ids(lake) == ["a", "b"]
    assert ledger_difference(lake) == 0


def test_a_resend_with_another_sending_time_or_token_is_the_same_event(log, lake):
    data = {"impression_id": "i", "clip_id": "c", "viewer_id": "v"}
    sent = event("impression", "i", {**data, "token": "one"}, sentat=NOW.isoformat())
    again = event("impression", "i", {**data, "token": "two"}, sentat=(NOW + dt.timedelta(seconds=9)).isoformat())
    assert load(log, lake, block([sent])).stored == 1
    report = load(log, lake, block([again]))
    assert (report.duplicate, report.conflict) == (1, 0)


def test_the_same_id_of_another_source_or_tenant_is_another_event(log, lake):
    load(log, lake, block([watched("a"), watched("a", source="/other")]), block([watched("a")], tenant="other"))
    assert len(ids(lake)) == 3


def test_of_two_events_with_one_id_and_different_data_the_first_wins_and_the_other_is_kept_aside(log, lake):
    report = load(log, lake, block([watched("a", ms=1), watched("a", ms=2)]))
    assert (report.stored, report.duplicate, report.conflict) == (1, 1, 1)
    report = load(log, lake, block([watched("a", ms=3)]), block([watched("a", ms=1)]))
    assert (report.stored, report.duplicate, report.conflict) == (0, 2, 1)
    assert rows(lake, "SELECT id, watched_ms FROM events") == [("a", 1)]
    found = rows(
        lake, "SELECT reason LIKE 'conflict: %', id, source, raw::JSON->'$.data.watched_ms' FROM rejected ORDER BY 4"
    )
    assert found == [(True, "a", "/test", "2"), (True, "a", "/test", "3")]
    assert ledger_difference(lake) == 0


def test_two_events_whose_hashed_keys_collide_are_both_stored(log, lake, monkeypatch):
    from clapometer.lake import event_rows

    monkeypatch.setattr(event_rows, "EVENT_KEY", event_rows.EVENT_KEY.replace("(md5_", "(0 * md5_"))
    assert load(log, lake, block([watched("a", ms=1), watched("b", ms=2), watched("a", ms=1)])).stored == 2
    report = load(log, lake, block([watched("c", ms=3), watched("a", ms=1), watched("b", ms=9)]))
    assert (report.stored, report.duplicate, report.conflict) == (1, 2, 1)
    assert ids(lake) == ["a", "b", "c"]


def test_a_stored_hash_of_another_duckdb_does_not_make_a_resend_a_conflict(log, lake, monkeypatch):
    from clapometer.lake import event_rows

    with monkeypatch.context() as older:
        older.setattr(event_rows, "PAYLOAD_HASH", "42::BIGINT")
        load(log, lake, block([watched("a"), watched("b")]))
    report = load(log, lake, block([watched("a"), watched("b", ms=7)]))
    assert (report.stored, report.duplicate, report.conflict) == (0, 2, 1)


def test_an_old_backlog_is_deduplicated_like_a_new_one(log, lake):
    old = NOW - dt.timedelta(days=100)
    load(log, lake, block([watched("a")], received_at=old))
    load(log, lake, block([watched("b")]))
    later = block([watched("a")], received_at=old + dt.timedelta(days=7))
    assert load(log, lake, later).duplicate == 1
    assert load(log, lake, block([watched("b")])).duplicate == 1


def test_the_window_of_duplicates_survives_a_restart_and_the_loss_of_the_cache(log, lake):
    load(log, lake, block([watched("a")]))
    assert load(log, lake, block([watched("a")])).duplicate == 1
    shutil.rmtree(lake.storage.cache / "keys")
    assert load(log, lake, block([watched("a")])).duplicate == 1


@pytest.mark.parametrize("jumps", [(0, 48, 0, -48), (48, -48, 0), (-48, 48)], ids=str)
def test_a_clock_that_jumps_by_two_days_neither_loses_nor_doubles_an_event(log, lake, jumps):
    for number, hours in enumerate(jumps):
        at = NOW + dt.timedelta(hours=hours)
        report = load(log, lake, block([watched("same"), watched(f"new-{number}")], received_at=at))
        assert (report.stored, report.duplicate) == ((2, 0) if number == 0 else (1, 1))
    assert len(ids(lake)) == 1 + len(jumps)
    assert ledger_difference(lake) == 0


# Exactly once


def test_a_loader_goes_on_where_the_lake_says(log, lake):
    load(log, lake, block([watched("a")]))
    assert load(log, lake, block([watched("b")])).blocks == 1
    assert loader(log, lake).load_once().blocks == 0
    assert ids(lake) == ["a", "b"]


def test_a_crash_between_the_refusals_and_the_events_neither_loses_nor_doubles_one(log, lake, monkeypatch):
    log.append_many([block([watched("a"), watched("a", ms=5)], rejected=[RejectedEvent(reason="bad")]), b"garbage"])
    with monkeypatch.context() as crash:
        crash.setattr(module.Parser, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            loader(log, lake).load_once()
    assert lake.rows("rejected") == 3
    log.append_many([block([watched("b")], rejected=[RejectedEvent(reason="worse")])])
    report = loader(log, lake).load_once()
    assert (report.received, report.stored, report.duplicate, report.conflict, report.rejected) == (6, 2, 1, 1, 3)
    assert lake.rows("rejected") == 4
    assert ledger_difference(lake) == 0


def test_a_crash_after_the_commit_loses_nothing_of_the_ledger(log, lake, monkeypatch):
    log.append_many([block([watched("a")])])
    with monkeypatch.context() as crash:
        crash.setattr(module, "settle", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            loader(log, lake).load_once()
    assert lake.rows("ledger") == 0
    assert loader(log, lake).load_once().blocks == 0
    assert rows(lake, "SELECT sum(received)::INT, sum(stored)::INT FROM ledger") == [(1, 1)]
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(1,)]


def test_blocks_still_in_the_log_are_loaded_again_when_the_lake_lost_its_tail(log, lake, tmp_path):
    load(log, lake, block([watched("a")]))
    load(log, lake, block([watched("b")]))
    for table in ("events", "ledger"):
        (tmp_path / "lake" / table / "_delta_log" / f"{2:020d}.json").unlink()
    recovered = Lake(tmp_path / "lake")
    assert loader(log, recovered).load_once().stored == 1
    assert ids(recovered) == ["a", "b"]
    assert ledger_difference(recovered) == 0


def test_a_new_log_is_read_from_its_start_even_if_an_older_one_got_further(log, lake):
    load(log, lake, *[block([watched(f"old-{number}")]) for number in range(5)])
    assert load(MemoryLog(), lake, block([watched("new")])).stored == 1


def test_all_partitions_of_a_log_are_loaded(lake):
    log = MemoryLog(partitions=3)
    for number in range(9):
        log.append_many([block([watched(str(number))])])
    report = loader(log, lake).load_once()
    assert (report.blocks, report.stored, report.lag) == (9, 9, {0: 0, 1: 0, 2: 0})
    assert loader(log, lake).load_once().blocks == 0


def test_several_loaders_share_a_lake_and_an_event_in_two_partitions_is_stored_once(tmp_path):
    log = MemoryLog(partitions=2)
    Lake(tmp_path / "lake").versions()
    for number in range(40):
        same = block([watched(str(number))], rejected=[RejectedEvent(reason=str(number))])
        log.append_many([same])
        log.append_many([same])
    errors: list[Exception] = []

    def work(partition: int) -> None:
        settings = LoadSettings(threads=1, max_batch_bytes=1500)
        one = Loader(log, Lake(tmp_path / "lake"), settings, partitions=lambda: [partition], clock=lambda: NOW)
        try:
            while one.load_once().blocks:
                pass
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(partition,)) for partition in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lake = Lake(tmp_path / "lake")
    assert errors == []
    assert ids(lake) == sorted(str(number) for number in range(40))
    assert rows(lake, "SELECT sum(received)::INT, sum(duplicate)::INT FROM ledger") == [(160, 40)]
    assert ledger_difference(lake) == 0


def test_a_loader_that_lost_a_race_for_its_own_partition_leaves_nothing_behind(log, lake, monkeypatch):
    log.append_many([block([watched("a")], rejected=[RejectedEvent(reason="bad")])])
    slow, fast = loader(log, lake), loader(log, Lake(lake.root))
    write = module.Parser.write

    def overtaken(parser, events, kept):
        monkeypatch.setattr(module.Parser, "write", write)
        fast.load_once()
        return write(parser, events, kept)

    monkeypatch.setattr(module.Parser, "write", overtaken)
    assert slow.load_once().stored == 0
    assert slow.load_once().blocks == 0
    assert ids(lake) == ["a"]
    assert lake.rows("rejected") == 1
    assert len(list((lake.root / "events").glob("received_date=*/*.parquet"))) == 1
    assert ledger_difference(lake) == 0


def test_a_loader_that_lost_a_race_leaves_in_the_log_what_the_other_one_did_not_load(log, lake, monkeypatch):
    log.append_many([block([watched("a")]), block([watched("b")])])
    slow = loader(log, lake, retention_s=0)
    fast = loader(log, Lake(lake.root), retention_s=0, max_batch_bytes=1)
    write = module.Parser.write

    def overtaken(parser, events, kept):
        monkeypatch.setattr(module.Parser, "write", write)
        assert fast.load_once().stored == 1
        return write(parser, events, kept)

    monkeypatch.setattr(module.Parser, "write", overtaken)
    report = slow.load_once()
    assert (report.blocks, report.lag, report.more) == (0, {0: 1}, True)
    slow.load_once()
    assert ids(lake) == ["a", "b"]


def test_what_left_the_log_before_it_was_loaded_is_told(log, lake):
    load(log, lake, block([watched("a")]))
    log.append_many([block([watched("b")]), block([watched("c")]), block([watched("d")])])
    log.trim(0, 3)
    report = load(log, lake)
    assert (report.stored, report.rejected) == (1, 1)
    assert ids(lake) == ["a", "d"]
    (found,) = rows(lake, 'SELECT reason, "partition", "offset" FROM rejected')
    assert found == ("left the log before it was loaded: blocks 1 to 2; let the log keep its blocks for longer", 0, 2)
    assert ledger_difference(lake) == 0


def test_what_another_loader_loaded_and_trimmed_is_not_told_as_gone(log, lake, monkeypatch):
    load(log, lake, block([watched("a")]))
    log.append_many([block([watched("b")]), block([watched("c")])])
    slow = loader(log, lake)
    fast = loader(log, Lake(lake.root), retention_s=0, max_batch_bytes=1)
    fetch = module.ReadAhead.fetch

    def overtaken(ahead, offsets):
        monkeypatch.setattr(module.ReadAhead, "fetch", fetch)
        assert fast.load_once().stored == 1
        return fetch(ahead, offsets)

    monkeypatch.setattr(module.ReadAhead, "fetch", overtaken)
    assert slow.load_once().rejected == 0
    slow.load_once()
    assert ids(lake) == ["a", "b", "c"]
    assert lake.rows("rejected") == ledger_difference(lake) == 0


def test_a_new_lake_reads_a_log_from_its_oldest_block_on(log, lake):
    log.append_many([block([watched("a")]), block([watched("b")])])
    log.trim(0, 1)
    report = load(log, lake)
    assert (report.stored, report.rejected) == (1, 0)


def test_kinds_of_events_that_are_stored_apart_read_as_one_table(log, lake):
    load(log, lake, block([watched("1"), registered("2", prompt={"text": "a"}), impression("3", position=4)]))
    assert sorted(path.name.count(".watching.") for path in lake.files("events")) == [0, 1]
    query = "SELECT id, type, prompt_text, position, watched_ms, received_date FROM events ORDER BY id"
    day = NOW.date()
    assert rows(lake, query) == [
        ("1", "watched", None, None, 1000, day),
        ("2", "clip_registered", "a", None, None, day),
        ("3", "impression", None, 4, None, day),
    ]
    report = load(log, lake, block([watched("2"), registered("1")]))
    assert (report.duplicate, report.conflict) == (2, 2)


def test_a_backlog_is_loaded_in_batches(log, lake):
    log.append_many([block([watched(f"{number}")] * 2) for number in range(30)])
    one = loader(log, lake, max_batch_bytes=2000)
    reports = [one.load_once() for _ in range(20)]
    assert len([report for report in reports if report.blocks]) > 3
    assert sum(report.stored for report in reports) == 30
    assert reports[0].more
    assert reports[0].lag[0] > 0
    assert ledger_difference(lake) == 0


# Running


def test_a_running_loader_publishes_soon_and_drains_the_log_when_it_stops(tmp_path):
    lake, log = Lake(tmp_path / "lake"), EmbeddedLog(tmp_path / "log")
    one, stop, stored = loader(log, lake, linger_s=0.05, poll_s=0.01), threading.Event(), []
    thread = threading.Thread(
        target=one.run, args=(stop,), kwargs={"on_report": lambda r: stored.append(r.stored)}, daemon=True
    )
    thread.start()
    log.append_many([block([watched("a")])])

    def visible() -> int:
        if not lake.storage.published.exists():
            return 0
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH '{lake.storage.published}' AS lake (READ_ONLY)")
            return int(connection.execute("SELECT count(*) FROM lake.events").fetchall()[0][0])

    until(lambda: visible() == 1)
    stop.set()
    log.append_many([block([watched("b")])])
    thread.join(300)
    assert sum(stored) == visible() == 2
    one.close()
    log.close()


def test_a_loader_without_work_parses_nothing_and_loads_the_first_event_that_comes(log, lake):
    one, stop, reports = loader(log, lake, linger_s=0.0, poll_s=0.01), threading.Event(), []
    thread = threading.Thread(target=one.run, args=(stop,), kwargs={"on_report": reports.append}, daemon=True)
    thread.start()
    try:
        for number in (1, 2):
            seen = len(reports)
            until(lambda seen=seen: len(reports) >= seen + 5)  # looks that find nothing
            assert reports[-1].parsed == number - 1
            log.append_many([block([watched(str(number))])])
            until(lambda number=number: sum(report.stored for report in reports) == number)
            assert reports[-1].parsed == number
    finally:
        stop.set()
        thread.join(300)
        one.close()
    assert not thread.is_alive()


def test_a_published_file_that_is_taken_away_is_made_again_by_a_loader_without_work(log, lake):
    log.append_many([block([watched("a")])])
    one, stop = loader(log, lake, linger_s=0.0, poll_s=0.01), threading.Event()
    thread = threading.Thread(target=one.run, args=(stop,), daemon=True)
    thread.start()
    try:
        for _ in range(2):
            until(lake.storage.published.exists)
            lake.storage.published.unlink()
        until(lake.storage.published.exists)
        with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM events").fetchall() == [(1,)]
    finally:
        stop.set()
        thread.join(300)
        one.close()


def test_a_loader_stops_in_time_although_events_keep_coming(log, lake):
    one, stop, sent = loader(log, lake, linger_s=0.01, poll_s=0.01), threading.Event(), threading.Event()
    loading = threading.Thread(target=one.run, args=(stop,), daemon=True)

    def keep_sending() -> None:
        number = 0
        while not sent.wait(0.001):
            log.append_many([block([watched(str(number := number + 1))])])

    sending = threading.Thread(target=keep_sending, daemon=True)
    sending.start()
    loading.start()
    try:
        until(lambda: lake.rows("events") > 0)
        before = log.next_offset(0)
        stop.set()
        loading.join(300)
        assert not loading.is_alive()
        assert lake.rows("events") >= before
        until(lambda: log.next_offset(0) > before)
    finally:
        sent.set()
        sending.join()
        one.close()


def test_a_failing_load_is_told_and_tried_again(log, lake, monkeypatch):
    log.append_many([block([watched("a")])])
    read, failures = log.read, [OSError("away"), OSError("still away")]

    def failing(*args):
        if failures:
            raise failures.pop(0)
        return read(*args)

    monkeypatch.setattr(log, "read", failing)
    one, stop, told, stored = loader(log, lake), threading.Event(), [], []
    run = {"on_error": told.append, "on_report": lambda report: stored.append(report.stored)}
    thread = threading.Thread(target=one.run, args=(stop,), kwargs=run, daemon=True)
    thread.start()
    until(lambda: stored)
    stop.set()
    thread.join(300)
    assert [str(error) for error in told] == ["away", "still away"]
    assert ids(lake) == ["a"]


def test_blocks_leave_the_log_only_after_the_retention_time(log, lake):
    now = [0.0]
    one = Loader(log, lake, LoadSettings(threads=1, retention_s=3600), seconds=lambda: now[0])
    log.append_many([block([watched("a")])])
    one.load_once()
    now[0] += 3000
    log.append_many([block([watched("b")])])
    one.load_once()
    assert len(log.read(0, 0, 10_000)) == 2
    now[0] += 700
    one.load_once()
    assert [record.offset for record in log.read(0, 0, 10_000)] == [1]
    now[0] += 3600
    one.load_once()
    assert log.read(0, 0, 10_000) == []


@pytest.mark.parametrize("hours", [-48, 48])
def test_blocks_stay_for_the_retention_time_whatever_is_done_to_the_clock(log, lake, hours):
    wall, steady = [NOW], [0.0]
    settings = LoadSettings(threads=1, retention_s=3600)
    one = Loader(log, lake, settings, clock=lambda: wall[0], seconds=lambda: steady[0])
    log.append_many([block([watched("a")])])
    one.load_once()
    wall[0] += dt.timedelta(hours=hours)
    steady[0] += 3599
    one.load_once()
    assert len(log.read(0, 0, 10_000)) == 1
    steady[0] += 1
    one.load_once()
    assert log.read(0, 0, 10_000) == []


def test_a_log_under_pressure_gives_up_loaded_blocks_early_and_never_others(lake):
    log = MemoryLog(max_bytes=10_000)
    one = loader(log, lake)
    while log.fill_ratio() < 0.85:
        log.append_many([block([watched(f"{log.next_offset(0)}")])])
    taken = log.next_offset(0)
    one.load_once()
    assert log.fill_ratio() < 0.2
    assert len(ids(lake)) == taken
