"""The processes of a session: what a process that leads one started, directly or not."""

import os

import psutil


def alive(process: psutil.Process) -> bool:
    """Returns whether a process runs; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def of_session(leader: int) -> list[psutil.Process]:
    """Returns the processes of the session that ``leader`` began, itself included."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and alive(process):
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found
