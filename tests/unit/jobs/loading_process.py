"""A loader in a process of its own, to be killed: ``python -m tests.unit.jobs.loading_process LOG LAKE``."""

import sys
import threading

from clapometer.eventlog import EmbeddedLog
from clapometer.jobs.load import Loader, LoadSettings
from clapometer.jobs.maintain import UpkeepSettings
from clapometer.lake import Lake

UPKEEP = UpkeepSettings(interval_s=0.2, vacuum_interval_s=0.5, grace_hours=1)
SETTINGS = LoadSettings(
    max_batch_bytes=6000, linger_s=0.0, poll_s=0.01, publish_interval_s=0.0, threads=1, upkeep=UPKEEP
)

if __name__ == "__main__":
    loader = Loader(EmbeddedLog(sys.argv[1]), Lake(sys.argv[2]), SETTINGS)
    print("ready", flush=True)
    loader.run(threading.Event(), on_error=lambda error: sys.exit(f"load failed: {error}"))
