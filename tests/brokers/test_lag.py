"""What waits in a topic is known, and waited for, as that of the embedded log is."""

from pathlib import Path

import pytest
from tests.support.builders import block, impression

from clapometer.eventlog.kafka import KafkaLog
from clapometer.lake.tables import Lake
from clapometer.loading.lag import NoLoaderError, blocks_behind, log_ends, wait_until_loaded
from clapometer.loading.loader import Loader, LoadSettings


def test_what_was_sent_to_a_topic_is_waited_for_until_somebody_loads_it(kafka_topic, tmp_path: Path) -> None:
    log, lake = KafkaLog(kafka_topic(partitions=3)), Lake(tmp_path)
    log.append_many([block([impression(f"i{n}")]) for n in range(7)])
    ends = log_ends(log)
    assert blocks_behind(lake, log, ends) == 7
    with pytest.raises(NoLoaderError, match="none of the 7 blocks"):
        wait_until_loaded(lake, log, ends, patience=0, pause=lambda _: None)
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    wait_until_loaded(lake, log, ends, pause=lambda _: (loader.load_once(), None)[1])
    assert blocks_behind(lake, log, log_ends(log)) == 0
    loader.close()
    log.close()
