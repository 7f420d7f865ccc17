"""wrk (Debian: ``apt-get install wrk``): POSTs bodies of a file in turn over several connections, closed loop."""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

SCRIPT = """
local bodies = {}
local file = assert(io.open(os.getenv("BODIES"), "r"))
for line in file:lines() do bodies[#bodies + 1] = line end
file:close()
local headers = {["content-type"] = "application/json", ["authorization"] = "Bearer " .. os.getenv("KEY")}
local path, turn = os.getenv("TARGET"), 0
request = function()
  turn = turn % #bodies + 1
  return wrk.format("POST", path, headers, bodies[turn])
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %f %f\\n", summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


class Load(NamedTuple):
    """What wrk saw: requests, failures among them, seconds, and percentiles of the answers' times."""

    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float


def post(
    address: str, path: str, key: str, bodies: Path, *, connections: int, seconds: int, core: int | None = None
) -> Load:
    """Sends the lines of ``bodies`` to ``path`` for so many seconds, from one core if that is named."""
    script = bodies.with_suffix(".lua")
    script.write_text(SCRIPT)
    command = [
        "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "20s",
        "--script", str(script), address,
    ]  # fmt: skip
    if core is not None:
        command = ["taskset", "--cpu-list", str(core), *command]
    environment = {**os.environ, "BODIES": str(bodies), "KEY": key, "TARGET": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", done.stdout)
    if found is None:
        raise SystemExit(done.stdout + done.stderr)
    requests, micros, errors, p50, p99 = found.groups()
    return Load(int(requests), int(errors), int(micros) / 1e6, float(p50), float(p99))
