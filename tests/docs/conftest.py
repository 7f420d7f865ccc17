"""One lake for all documents that ask something of one."""

import pytest
from tests.support.cookbook import demo_like_lake

from clapometer.lake.tables import Lake


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return demo_like_lake(tmp_path_factory.mktemp("docs") / "lake")
