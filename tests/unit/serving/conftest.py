"""One lake that nobody changes for all tests of serving, and lakes of their own for those that change them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.serving.running import Serving
from tests.unit.serving.sample_lake import full_lake

from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return full_lake(tmp_path_factory.mktemp("serving") / "lake")


@pytest.fixture
def own_lake(lake: Lake, tmp_path: Path) -> Lake:
    """A copy of the lake that the test may change."""
    shutil.copytree(lake.root, tmp_path / "lake")
    copy = Lake(tmp_path / "lake")
    publish(copy)
    return copy


@pytest.fixture(scope="module")
def serving(lake: Lake) -> Iterator[Serving]:
    running = Serving(lake.storage.published)
    yield running
    running.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., Serving]]:
    """Starts servers over lakes of the test's own, and stops them afterwards."""
    running: list[Serving] = []

    def start_one(published: Path, *args: Any, **kwargs: Any) -> Serving:
        running.append(Serving(published, *args, **kwargs))
        return running[-1]

    yield start_one
    for one in running:
        one.stop()
