"""How far a reader is led to see an outcome become a row of a ranking; what was reached stays reached."""

import runpy
from pathlib import Path

from tests.support.lakes import clock, lake_of, traffic

from clapometer.training.parameters import Parameters
from clapometer.training.train import TrainReport, train_once

SCRIPT = Path(__file__).parents[2] / "scripts" / "training_walk.py"


def test_a_training_is_read_forward_with_few_returns(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    reports: list[TrainReport] = []
    walk = runpy.run_path(str(SCRIPT))["follow"](
        lambda: reports.append(train_once(lake, clock=clock, parameters=Parameters(min_impressions=50)))
    )
    assert [report.run.status for report in reports] == ["succeeded"]
    assert walk.stays[0] == "train"
    assert {"reading", "evidence.weighing", "boards.model_versions", "runs"} < set(walk.stays)
    assert len(walk.stays) <= 27, walk.stays
    assert len(walk.returns) <= 5, walk.returns
