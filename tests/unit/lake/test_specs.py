"""Each table says of itself what others have to know of it."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from tests.support.lakes import lake_of, traffic

from clapometer.cli.backup import Table
from clapometer.domain import TerminalError
from clapometer.lake.content import content
from clapometer.lake.specs import NOBODY, SPECS
from clapometer.takedown.erase import viewer_columns


@pytest.mark.parametrize("name", SPECS)
def test_every_column_that_names_a_viewer_or_an_impression_is_declared(name: str) -> None:
    spec = SPECS[name]
    naming = {each for each in spec.columns.names if each.endswith(("viewer_id", "impression_id", "creator_id", "raw"))}
    assert spec.viewers is not None
    assert naming <= set(spec.viewers.names) <= set(spec.columns.names)


def test_an_erasure_refuses_a_table_that_does_not_say_where_viewers_are() -> None:
    forgotten = {**SPECS, "decisions": replace(SPECS["runs"], viewers=None)}
    with pytest.raises(
        TerminalError, match=r"nothing was erased: decisions does not say .* `viewers` of its TableSpec"
    ):
        viewer_columns(forgotten)
    assert viewer_columns({**SPECS, "decisions": replace(SPECS["runs"], viewers=NOBODY)})["decisions"] == NOBODY


def test_every_table_has_a_place_of_its_own_in_a_backup() -> None:
    assert sorted(spec.backup for spec in SPECS.values()) == list(range(len(SPECS)))


def test_the_command_knows_every_table() -> None:
    assert set(get_args(Table)) == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_every_table_has_a_hash(tmp_path: Path, name: str) -> None:
    lake = lake_of(tmp_path, traffic(models=1, prompts=1, shown=1))
    found = content(lake, name)
    assert (found.table, len(found.hash)) == (name, 64)
    assert set(SPECS[name].own) < set(SPECS[name].columns.names)
