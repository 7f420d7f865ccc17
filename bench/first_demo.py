"""``make demo`` on a fresh clone of this build beside one of an earlier build: wall time, size, longest silence.

``python bench/first_demo.py [--earlier REV] [--rounds N]``: clones both into temporary folders and lets both
take turns, each time with empty caches of pip and uv. Needs the network; what else the machine does shows in both.
"""

import argparse
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
EARLIER = "255a29e"
"""The build before the demo had an environment of its own."""


@dataclass(frozen=True)
class FirstDemo:
    """What somebody sees who clones and types ``make demo``.

    Attributes:
        seconds: From the command to its end.
        silence: Longest time without a line, in seconds.
        megabytes: On the disk afterwards, of environment and caches, in 10^6 bytes.
    """

    seconds: float
    silence: float
    megabytes: float


def first_demo(revision: str) -> FirstDemo:
    """Returns what a fresh clone of a revision takes."""
    with tempfile.TemporaryDirectory() as folder:
        clone, caches = Path(folder) / "clone", Path(folder) / "caches"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        subprocess.run(["git", "checkout", "--quiet", "--detach", revision], cwd=clone, check=True)
        environment = os.environ | {"PIP_CACHE_DIR": str(caches / "pip"), "UV_CACHE_DIR": str(caches / "uv")}
        started = last = time.monotonic()
        silence = 0.0
        with subprocess.Popen(
            ["make", "demo"], cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            for _ in process.stdout:
                silence, last = max(silence, time.monotonic() - last), time.monotonic()
        if process.returncode:
            msg = f"make demo of {revision} ended with {process.returncode}"
            raise SystemExit(msg)
        return FirstDemo(time.monotonic() - started, silence, size(clone / ".venv", caches) / 1e6)


def size(*folders: Path) -> int:
    """Returns the bytes of the folders' files; a file with several names counts once."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            known = path.lstat()
            found[known.st_ino] = known.st_size
    return sum(found.values())


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--earlier", default=EARLIER)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    for number in range(options.rounds):
        now, before = first_demo("HEAD"), first_demo(options.earlier)
        for name, one in (("this build", now), (options.earlier, before)):
            print(
                f"round {number + 1}, {name}: {one.seconds:.0f} s, longest silence {one.silence:.1f} s, "
                f"{one.megabytes:,.0f} MB",
                flush=True,
            )
        print(f"round {number + 1}: {now.seconds / before.seconds:.2f} of the time (limit 0.50)", flush=True)


if __name__ == "__main__":
    main()
