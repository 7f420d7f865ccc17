"""A loader in a process of its own, to be killed.

``python -m tests.unit.loading.loading_process LOG LAKE [COPIES ENDPOINT]``, the latter for a lake on an object store.
"""

import sys
import threading
from pathlib import Path

from clapometer.eventlog import EmbeddedLog
from clapometer.lake.delta.storage import storage_at
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.upkeep.merge import UpkeepSettings

UPKEEP = UpkeepSettings(interval_s=0.2, vacuum_interval_s=0.5, grace_hours=1)
SETTINGS = LoadSettings(
    max_batch_bytes=6000, linger_s=0.0, poll_s=0.01, publish_interval_s=0.0, threads=1, upkeep=UPKEEP
)

if __name__ == "__main__":
    log, address, copies, endpoint = [*sys.argv[1:], ".", ""][:4]
    lake = Lake(storage_at(address, Path(copies), endpoint=endpoint or None))
    loader = Loader(EmbeddedLog(log), lake, SETTINGS)
    print("ready", flush=True)
    loader.run(threading.Event(), on_error=lambda error: sys.exit(f"load failed: {error}"))
