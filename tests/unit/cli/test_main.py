"""What every command pays for when it starts."""

import subprocess
import sys

HEAVY = {"duckdb", "numpy", "pyarrow", "deltalake", "scipy", "sklearn", "fastapi"}


def test_no_command_loads_what_only_others_need() -> None:
    loaded = "import sys, clapometer.cli.main; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert HEAVY & set(said.stdout.split()) == set()
