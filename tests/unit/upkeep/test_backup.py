"""A backup of a running system, put back, is the same system; what is damaged is never put into place."""

import dataclasses
import datetime as dt
import itertools
import os
import threading
from pathlib import Path

import pytest
from tests.support.builders import NOW, block, impression, registered, watched

from clapometer.domain import InputError, TerminalError
from clapometer.eventlog import EmbeddedLog
from clapometer.lake.content import content
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.progress import loaded_offsets
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.upkeep.backup import ORDER, BackupPlan, back_up, latest_backup, read_manifest
from clapometer.upkeep.merge import UpkeepSettings, compact, vacuum
from clapometer.upkeep.restore import RestorePlan, choose_backup, restore

LOADING = LoadSettings(upkeep=None)
_HOURS = itertools.count()


class System:
    """An embedded log, a lake, and two files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = EmbeddedLog(root / "log", max_bytes=1 << 26)
        self.lake = Lake(root / "lake")
        self.files = {"keys": root / "keys.json", "tokens": root / "tokens.json"}

    def send(self, *ids: str) -> None:
        self.log.append_many([block([impression(id_), watched(f"w {id_}", impression=id_)]) for id_ in ids])

    def load(self) -> None:
        loader = Loader(self.log, self.lake, LOADING)
        while loader.load_once().more:
            pass
        loader.close()

    def plan(self) -> BackupPlan:
        now = NOW + dt.timedelta(hours=next(_HOURS))
        return BackupPlan(self.lake, self.log, self.log.copy_to, self.files, "test", now)

    def ids(self) -> set[str]:
        with self.lake.connect() as con:
            return {id_ for (id_,) in con.execute("SELECT impression_id FROM impressions").fetchall()}


def place(root: Path) -> RestorePlan:
    return RestorePlan(root / "lake", root / "log", {"keys": root / "keys.json", "tokens": root / "tokens.json"})


def put_back(backup: Path, root: Path) -> System:
    root.mkdir()
    restore(backup, place(root))
    return System(root)


@pytest.fixture
def system(tmp_path: Path) -> System:
    made = System(tmp_path / "first")
    made.log.append_many([block([registered("r")], trust="key")])
    made.send("a", "b")
    made.load()
    for name, path in made.files.items():
        path.write_text(f"secret of {name}")
        path.chmod(0o600)
    return made


def test_what_is_put_back_is_the_same_and_goes_on(tmp_path: Path, system: System) -> None:
    system.send("not loaded yet")
    made, manifest = back_up(system.plan(), tmp_path / "backups")
    assert manifest.rows["events"] == 5
    second = put_back(made, tmp_path / "second")
    assert content(second.lake, "events").hash == content(system.lake, "events").hash
    assert second.ids() == {"a", "b"}
    second.load()
    assert second.ids() == {"a", "b", "not loaded yet"}
    second.send("later", "a")
    second.load()
    assert second.ids() == {"a", "b", "not loaded yet", "later"}
    assert ledger_difference(second.lake) == 0
    assert second.files["keys"].read_text() == "secret of keys"
    assert second.files["tokens"].stat().st_mode & 0o777 == 0o600
    assert (second.root / "lake" / "clapometer.duckdb").exists()


def test_nothing_acknowledged_before_a_backup_is_lost_while_loader_and_upkeep_run(
    tmp_path: Path, system: System
) -> None:
    stop = threading.Event()
    sent: list[str] = []
    writer_lake = Lake(system.root / "lake")

    def write() -> None:
        loader = Loader(system.log, writer_lake, LOADING)
        for n in itertools.count():
            if stop.is_set():
                break
            system.send(f"n{n}")
            sent.append(f"n{n}")
            loader.load_once()
            if n % 9 == 8:
                compact(writer_lake, UpkeepSettings())
        loader.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for n in range(3):
            acknowledged = set(sent)
            made, _ = back_up(system.plan(), tmp_path / "backups")
            copy = put_back(made, tmp_path / f"copy {n}")
            copy.load()
            assert acknowledged <= copy.ids()
            assert ledger_difference(copy.lake) == 0
            copy.log.close()
    finally:
        stop.set()
        thread.join()


def test_a_second_backup_links_what_the_first_one_has(tmp_path: Path, system: System) -> None:
    first, _ = back_up(system.plan(), tmp_path / "backups")
    system.send("c")
    system.load()
    second, manifest = back_up(system.plan(), tmp_path / "backups")
    parquet = [path for path in manifest.files if path.endswith(".parquet")]
    linked = [path for path in parquet if (first / path).exists()]
    assert 0 < len(linked) < len(parquet)
    assert all(os.path.samefile(first / path, second / path) for path in linked)
    assert latest_backup(tmp_path / "backups") == second
    assert put_back(first, tmp_path / "of the first").ids() == {"a", "b"}
    assert put_back(second, tmp_path / "of the second").ids() == {"a", "b", "c"}


def test_old_versions_that_were_kept_are_in_the_backup(tmp_path: Path, system: System) -> None:
    version = system.lake.version("events")
    before = content(system.lake, "events", version).hash
    for n in range(10):
        system.send(f"m{n}")
        system.load()
    compact(system.lake, UpkeepSettings())
    made, _ = back_up(system.plan(), tmp_path / "backups")
    assert content(put_back(made, tmp_path / "second").lake, "events", version).hash == before


def test_a_lake_is_made_again_from_the_log_with_the_same_hash(tmp_path: Path, system: System) -> None:
    for n in range(5):
        system.send(f"x{n}", "a")
        system.load()
    compact(system.lake, UpkeepSettings())
    vacuum(system.lake, UpkeepSettings(grace_hours=0))
    again = Lake(tmp_path / "again")
    loader = Loader(system.log, again, LOADING)
    loader.load_once()
    loader.close()
    for table in ("events", "rejected"):
        assert content(again, table).hash == content(system.lake, table).hash
    assert content(again, "events").rows == 15
    assert content(again, "events", 0).hash != content(again, "events").hash


def test_without_enough_retention_the_backup_fails_rather_than_lack_blocks(tmp_path: Path, system: System) -> None:
    system.send("soon gone", "too")
    plan = system.plan()

    def slow(folder: Path) -> None:
        system.log.trim(0, system.log.next_offset(0) - 1)
        system.log.copy_to(folder)

    with pytest.raises(TerminalError, match="left the event log while the lake was copied"):
        back_up(dataclasses.replace(plan, copy_log=slow), tmp_path / "backups")
    assert latest_backup(tmp_path / "backups") is None
    assert list((tmp_path / "backups").iterdir()) == []


def test_damage_is_found_and_nothing_is_put_into_place(tmp_path: Path, system: System) -> None:
    made, manifest = back_up(system.plan(), tmp_path / "backups")
    victim = made / next(path for path in manifest.files if path.endswith(".parquet"))
    content_ = bytearray(victim.read_bytes())
    content_[len(content_) // 2] ^= 1
    victim.write_bytes(bytes(content_))
    (tmp_path / "second").mkdir()
    with pytest.raises(TerminalError, match="is damaged"):
        restore(made, place(tmp_path / "second"))
    victim.unlink()
    with pytest.raises(TerminalError, match="has lost"):
        restore(made, place(tmp_path / "second"))
    assert list((tmp_path / "second").iterdir()) == []


def test_a_restore_replaces_nothing(tmp_path: Path, system: System) -> None:
    made, _ = back_up(system.plan(), tmp_path / "backups")
    with pytest.raises(InputError, match="is not empty; move it away first"):
        restore(made, place(system.root))
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "keys.json").write_text("other keys")
    with pytest.raises(InputError, match="differs from the backup's"):
        restore(made, place(tmp_path / "second"))


def test_what_is_no_complete_backup_is_refused(tmp_path: Path, system: System) -> None:
    with pytest.raises(InputError, match="holds no complete backup"):
        choose_backup(tmp_path)
    made, _ = back_up(system.plan(), tmp_path / "backups")
    assert choose_backup(tmp_path / "backups") == choose_backup(made) == made
    manifest = made / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(InputError, match="has format 9, this version reads up to 1; upgrade"):
        read_manifest(made)
    manifest.write_text("{}")
    with pytest.raises(InputError, match="is no complete backup"):
        read_manifest(made)


def test_a_backup_inside_the_lake_is_refused(system: System) -> None:
    with pytest.raises(InputError, match="lies in the lake itself"):
        back_up(system.plan(), system.root / "lake" / "backups")


def test_offsets_are_those_of_the_version_that_is_asked_for(system: System) -> None:
    version = system.lake.version("events")
    system.send("c", "d")
    system.load()
    assert loaded_offsets(system.lake, system.log.identity, [0], version) == {0: 3}
    assert loaded_offsets(system.lake, system.log.identity, [0]) == {0: 5}


def test_every_table_is_backed_up_once() -> None:
    assert sorted(ORDER) == sorted(TABLES)
