"""``clapometer log`` against a real broker: a laptop's backlog moves into production."""

from pathlib import Path

from tests.brokers.fixtures import Broker
from tests.e2e.running import RunningService
from tests.support.builders import block, impression

from clapometer.eventlog import EmbeddedLog
from clapometer.lake.tables import Lake


def test_a_topic_is_made_and_a_backlog_is_copied_once(kafka_broker: Broker, tmp_path: Path) -> None:
    address = f"kafka://{kafka_broker.server}/backlog?partitions=2&replication=1&min_insync=1"
    service = RunningService(tmp_path, log=address)
    backlog = EmbeddedLog(tmp_path / "log", max_bytes=2**26)
    backlog.append_many([block([impression(str(number))]) for number in range(30)])
    backlog.close()

    assert "created: 2 partitions" in service.command("log", "init")
    assert "is there: 2 partitions" in service.command("log", "init")
    assert "copied 30 blocks" in service.command("log", "copy")
    assert "copied 0 blocks" in service.command("log", "copy")

    service.command("load", "--once")
    assert Lake(service.lake).rows("events") == 30
