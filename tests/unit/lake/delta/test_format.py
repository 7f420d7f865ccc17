"""Every store says its format: old ones are read for ever, newer ones are refused with a reason."""

import datetime as dt
import json
import zipfile
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from tests.support.builders import block, impression
from tests.support.event_rows import clip, events_table

from clapometer.domain import InputError, TerminalError
from clapometer.eventlog import EmbeddedLog
from clapometer.gate import load_keys, save_keys
from clapometer.gate.tokens import load_token_secrets, rotate_token_secrets
from clapometer.lake.content import content
from clapometer.lake.delta import columns
from clapometer.lake.delta.format import FORMAT, MARKER
from clapometer.lake.delta.table import Table
from clapometer.lake.keys.index import KeyIndex
from clapometer.lake.published.publish import publish
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.training.runs import read_runs

GOLDEN = Path(__file__).parents[3] / "golden" / "stores"
HASHES = json.loads((GOLDEN / "expected.json").read_text())


def unpacked(name: str, folder: Path) -> Path:
    """Returns a folder with a store as an older version left it."""
    with zipfile.ZipFile(GOLDEN / f"{name}.zip") as archive:
        archive.extractall(folder)
    return folder


def test_a_lake_of_format_1_is_read_and_becomes_one_of_today(tmp_path: Path) -> None:
    lake = Lake(unpacked("lake-1", tmp_path / "lake"))
    assert {name: content(lake, name).hash for name in HASHES} == HASHES
    assert json.loads((lake.root / MARKER).read_bytes()) == {"format": FORMAT}
    publish(lake)
    lake.append("events", events_table([clip("another")]))
    assert lake.rows("events") == 5


def test_columns_of_a_lake_of_format_1_that_need_not_be_kept_may_be_null(tmp_path: Path) -> None:
    root = unpacked("lake-1", tmp_path / "lake")
    schema, partition_by = TABLES["events"]
    assert not Table(root / "events", schema, partition_by).declared().field("event_key").nullable
    Lake(root).version("events")
    assert Table(root / "events", schema, partition_by).declared() == schema


def test_a_lake_of_format_1_goes_on_from_the_log_of_format_1(tmp_path: Path) -> None:
    log = EmbeddedLog(unpacked("log-1", tmp_path / "log"), max_bytes=1 << 24)
    lake = Lake(unpacked("lake-1", tmp_path / "lake"))
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    assert loader.load_once().received == 0
    log.append_many([block([impression("i1"), impression("i9")], trust="key"), block([impression("i2")])])
    report = loader.load_once()
    assert (report.stored, report.duplicate) == (1, 2)
    loader.close()
    log.close()


def test_a_log_of_format_1_loaded_into_an_empty_lake_gives_the_same_and_what_a_browser_said_under_a_servers_id(
    tmp_path: Path,
) -> None:
    log = EmbeddedLog(unpacked("log-1", tmp_path / "log"), max_bytes=1 << 24)
    lake = Lake(tmp_path / "lake")
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    loader.load_once()
    loader.close()
    log.close()
    stored = "SELECT * EXCLUDE (event_key, payload_hash) FROM events"
    with lake.connect() as now, Lake(unpacked("lake-1", tmp_path / "then")).connect() as then:
        found, before = (set(con.execute(stored).fetchall()) for con in (now, then))
        assert before < found
        browsers = now.execute("SELECT id FROM events WHERE trust = 'none' ORDER BY id").fetchall()
        assert (len(found - before), browsers) == (1, [("i1",), ("i2",)])
        assert now.execute("SELECT stored::INT, duplicate::INT, conflict::INT FROM ledger").fetchall() == [(5, 0, 0)]


def test_results_get_the_columns_that_have_come_since(tmp_path: Path) -> None:
    lake = Lake(unpacked("lake-1", tmp_path / "lake"))
    with lake.connect() as con:
        assert con.execute("SELECT left_item, difference, low, always_low FROM contrasts").fetchall() == [
            ("a@1", 0.5, 0.25, None)
        ]
    schema, _ = TABLES["contrasts"]
    row = dict.fromkeys(schema.names) | {"run_id": "new", "always_low": 0.1}
    Lake(lake.root).append("contrasts", pa.Table.from_pylist([row], schema=schema))
    with Lake(lake.root).connect() as con:
        assert con.execute("SELECT run_id, always_low FROM contrasts ORDER BY run_id").fetchall() == [
            ("new", 0.1), ("r", None)
        ]  # fmt: skip


def test_dead_letters_get_the_columns_that_have_come_since(tmp_path: Path) -> None:
    root = unpacked("lake-1", tmp_path / "lake")
    with Lake(root).connect() as con:
        ids, traces = zip(*con.execute("SELECT id, trace_id FROM rejected").fetchall(), strict=True)
    assert ids
    assert set(traces) == {None}


def test_columns_are_added_again_after_a_crash_half_way(tmp_path: Path) -> None:
    root = unpacked("lake-1", tmp_path / "lake")
    schema, partition_by = TABLES["contrasts"]
    columns._rewrite(Table(root / "contrasts", schema, partition_by))  # and then the power fails
    lake = Lake(root)
    assert lake.rows("contrasts") == 1
    with lake.connect() as con:
        assert con.execute("SELECT run_id, always_high FROM contrasts").fetchall() == [("r", None)]


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        (b'{"format": 99}', "has format 99, this version reads up to 4; upgrade"),
        (b'{"format": 0}', "has format 0"),
        (b'{"format": "new"}', "has format new"),
        (b"torn", "is damaged"),
        (b"[]", "is damaged"),
    ],
)
def test_a_lake_of_another_format_is_refused(tmp_path: Path, marker: bytes, reason: str) -> None:
    Lake(tmp_path)
    (tmp_path / MARKER).write_bytes(marker)
    with pytest.raises(TerminalError, match=reason):
        Lake(tmp_path)


def test_a_table_with_other_columns_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("events", events_table([clip("c")]))
    log = tmp_path / "events" / "_delta_log" / f"{0:020d}.json"
    log.write_text(log.read_text().replace('\\"clip_id\\"', '\\"clip_name\\"'))
    with pytest.raises(TerminalError, match="it lacks clip_id; also has clip_name"):
        Lake(tmp_path).rows("events")


def test_a_log_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log", max_bytes=1 << 24)
    with log._transaction() as txn:
        txn.put(b"format", b"7", db=log._meta)
    log.close()
    with pytest.raises(TerminalError, match="has format 7, this version reads up to 1; upgrade"):
        EmbeddedLog(tmp_path / "log", max_bytes=1 << 24)


def test_key_and_token_files_of_format_1_are_read_and_written_with_their_format(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_bytes((GOLDEN / "keys-1.json").read_bytes())
    assert [key.id for key in load_keys(keys)] == ["abcd1234"]
    save_keys(keys, load_keys(keys))
    assert msgspec.json.decode(keys.read_bytes())["format"] == 1
    tokens = tmp_path / "tokens.json"
    tokens.write_bytes((GOLDEN / "tokens-1.json").read_bytes())
    assert load_token_secrets(tokens).signing() == ("k1", bytes(32))
    assert "k1" in rotate_token_secrets(tokens).keys
    assert msgspec.json.decode(tokens.read_bytes())["format"] == 1


def test_newer_key_and_token_files_are_refused(tmp_path: Path) -> None:
    keys, tokens = tmp_path / "keys.json", tmp_path / "tokens.json"
    keys.write_text('{"format": 3, "keyring": []}')
    with pytest.raises(InputError, match=r"keys.json has format 3, this version reads up to 2; upgrade"):
        load_keys(keys)
    tokens.write_text('{"format": 2, "vault": []}')
    with pytest.raises(InputError, match=r"tokens.json has format 2, this version reads up to 1; upgrade"):
        load_token_secrets(tokens)


def test_a_cache_of_another_format_is_made_again(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("events", events_table([clip("c")]))
    events = lake.open_table("events")

    def remembered() -> int:
        """Returns how many keys an index knows before it has read anything but its cache."""
        index = KeyIndex(events, tmp_path / "keys")
        known = len(index)
        index.refresh(events_table([clip("c")])["received_date"][0].as_py())
        index.save()
        index.close()
        return known

    assert (remembered(), remembered()) == (0, 1)
    (manifest,) = (tmp_path / "keys").rglob("manifest.json")
    saved = json.loads(manifest.read_text())
    for other in (saved["format"] - 1, saved["format"] + 1):
        manifest.write_text(json.dumps(saved | {"format": other}))
        assert remembered() == 0


def test_runs_get_columns_of_their_own_for_what_their_parameters_held(tmp_path: Path) -> None:
    lake = Lake(unpacked("lake-4", tmp_path / "lake"))
    (run,) = read_runs(lake)
    assert (run.as_of, run.tier) == (dt.datetime(2026, 3, 10, tzinfo=dt.UTC), "C")
    assert run.tier_reason == "no impression has both a propensity and its number of candidates"
    assert (run.parameters.max_pairs, run.parameters.screen_viewers) == (1, False)
    with lake.connect() as con:
        ((tier, parameters),) = con.execute("SELECT tier, parameters FROM runs").fetchall()
        assert (tier, json.loads(parameters)["max_pairs"]) == ("C", 1)
        assert con.execute("SELECT count(*) FROM rankings_current WHERE rank = 1").fetchall()[0][0] > 0
