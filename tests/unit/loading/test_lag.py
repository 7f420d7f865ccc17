"""Waiting for the loader: until the lake has what the log held, and never for ever."""

from pathlib import Path

import pytest
from tests.support.builders import block, impression

from clapometer.eventlog import MemoryLog
from clapometer.lake.tables import Lake
from clapometer.loading.lag import NoLoaderError, blocks_behind, log_ends, wait_until_loaded
from clapometer.loading.loader import Loader, LoadSettings


def test_it_ends_once_what_was_there_is_loaded_though_more_comes(tmp_path: Path) -> None:
    log, lake = MemoryLog(partitions=2), Lake(tmp_path)
    log.append_many([block([impression(f"i{n}")]) for n in range(5)])
    ends = log_ends(log)
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    seen: list[int] = []

    def loads_meanwhile(_: float) -> None:
        loader.load_once()
        log.append_many([block([impression("later")])])

    wait_until_loaded(lake, log, ends, told=seen.append, seconds=iter(range(100)).__next__, pause=loads_meanwhile)
    loader.close()
    assert seen == [5, 0]
    assert blocks_behind(lake, log, log_ends(log)) == 1


def test_without_a_loader_it_ends_and_says_so(tmp_path: Path) -> None:
    log, lake = MemoryLog(), Lake(tmp_path)
    log.append_many([block([impression("i")])])
    with pytest.raises(NoLoaderError, match="none of the 1 blocks that wait was loaded for 3 s"):
        wait_until_loaded(lake, log, log_ends(log), patience=3, seconds=iter(range(100)).__next__, pause=lambda _: None)


def test_a_log_that_is_loaded_is_not_waited_for(tmp_path: Path) -> None:
    log, lake = MemoryLog(), Lake(tmp_path)
    wait_until_loaded(lake, log, log_ends(log), patience=0)
