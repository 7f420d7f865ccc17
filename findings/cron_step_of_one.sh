#!/bin/sh
# cronsim 2.8 and croniter 7.0.0 both take the minute field `5-5/10`, a range of one number with a step, and each means
# something else: cronsim every ten minutes from 5 to the end of the hour, croniter every ten minutes from 10. By the
# definition of cron's ranges (first-last/step) it is minute 5 alone.
#
# Who meets it: whoever checks a schedule with one library and runs it with another. Ours: such a field is minute 5, and a
# text that Debian's cron and Kubernetes read differently is refused when it is written; tests/unit/training/test_when.py.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check cronsim==2.8 croniter==7.0.0
environment/bin/python - <<'END'
from datetime import datetime
from itertools import islice

from croniter import croniter
from cronsim import CronSim

start, text = datetime(2026, 1, 1), "5-5/10 * * * *"
by_croniter = croniter(text, start, ret_type=datetime)
found = {
    "cronsim 2.8": [f"{at:%H:%M}" for at in islice(CronSim(text, start), 4)],
    "croniter 7.0.0": [f"{by_croniter.get_next():%H:%M}" for _ in range(4)],
}
for name, times in found.items():
    print(f"{name}: {text} fires at {', '.join(times)}")
same = found == {"cronsim 2.8": ["00:05", "00:15", "00:25", "00:35"], "croniter 7.0.0": ["00:10", "00:20", "00:30", "00:40"]}
raise SystemExit(0 if same else "changed")
END
