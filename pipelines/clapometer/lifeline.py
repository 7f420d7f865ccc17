"""Processes of ours that end with the one that started them, however that one ended.

The parent holds one end of a pipe; the other one is the child's standard input. When the parent is gone, killed or not,
the system closes the pipe, and whoever reads it is told. The pipe is there before the child runs its first line, so
that it makes no difference how long that takes: nothing has to be asked for that may have changed meanwhile.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

GRACE_SECONDS = 1.0
"""How long a process may go on draining after its parent is gone before it is killed."""
_PART = "clapometer.cli.part"
_STDIN = 0


def start_child(arguments: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Starts a command of ours as a process that ends with this one; ``options`` are those of ``Popen``."""
    return subprocess.Popen([sys.executable, "-m", _PART, *arguments], stdin=subprocess.PIPE, **options)  # noqa: S603


def release(child: "subprocess.Popen[bytes]") -> None:
    """Lets a child outlive this process."""
    if child.stdin is not None:
        child.stdin.write(b"\n")
        child.stdin.close()


def end_with_parent(lifeline: int = _STDIN) -> None:
    """Has this process end itself once its parent is gone: asked to drain first, and killed soon after.

    Args:
        lifeline: Descriptor to read from: it ends with the parent. What is there to read releases this process.
    """

    def watch() -> None:
        if os.read(lifeline, 1):
            return
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
