"""Waiting for the loader: what was sent is in the log, and not yet in the lake that everything else reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clapometer.domain import InputError, TransientError
from clapometer.operation import wiring
from clapometer.settings import Settings, load_settings
from clapometer.terminal.printing import Console
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.eventlog import EventLog


def before_training(settings: Settings, *, wait: bool, patience: float, quiet: bool) -> None:
    """Says how far the lake is behind the log, and waits until it has what the log holds now, where ``wait``.

    Raises:
        NoLoaderError: No loader gets on.
    """
    from clapometer.loading.lag import NoLoaderError

    try:
        with _log(settings) as log:
            if log is not None:
                _tell_or_wait(settings, log, wait=wait, patience=patience, quiet=quiet)
    except NoLoaderError:
        raise
    except TransientError as error:
        _say(f"how far the lake is behind the log is not known ({error}); training on what it has")


def can_wait(wait: bool) -> None:
    """Checks before anything is sent that there will be something to wait for.

    Raises:
        InputError: The log of the settings is not on this machine.
    """
    if not wait:
        return
    with _log(load_settings()) as log:
        if log is None:
            msg = "there is no log here to look at: run this in the folder of `clapometer up`, or with its settings"
            raise InputError(msg, "wait")


def after_sending(wait: bool, *, patience: float, quiet: bool) -> None:
    """Waits until the lake has what the log holds now, where ``wait``.

    Raises:
        NoLoaderError: No loader gets on.
    """
    if not wait:
        return
    settings = load_settings()
    with _log(settings) as log:
        if log is not None:
            _wait(settings, log, patience, quiet, "it is in the log, and nothing is lost")


def _tell_or_wait(settings: Settings, log: "EventLog", *, wait: bool, patience: float, quiet: bool) -> None:
    from clapometer.loading.lag import blocks_behind, log_ends

    behind = blocks_behind(wiring.open_lake(settings), log, log_ends(log))
    if not behind:
        return
    state = f"the lake is {behind:,} block{'s' if behind > 1 else ''} (requests) behind the log"
    if not wait:
        _say(f"{state}; training on what it has, without them")
        return
    _say(f"{state}; waiting for the loader (--no-wait trains on what the lake has)")
    _wait(settings, log, patience, quiet, "--no-wait trains on what the lake has")


def _wait(settings: Settings, log: "EventLog", patience: float, quiet: bool, otherwise: str) -> None:
    from clapometer.loading.lag import NoLoaderError, log_ends, wait_until_loaded

    with progress_bar(quiet) as bar:
        task = bar.add_task("loading", total=None, note="blocks")
        most = 0

        def told(left: int) -> None:
            nonlocal most
            most = max(most, left)
            bar.update(task, total=most or 1, completed=(most or 1) - left)

        try:
            wait_until_loaded(wiring.open_lake(settings), log, log_ends(log), patience=patience, told=told)
        except NoLoaderError as error:
            msg = f"{error}. `clapometer load --once` loads it now, `clapometer up` keeps loading; {otherwise}"
            raise NoLoaderError(msg) from error


@contextmanager
def _log(settings: Settings) -> "Iterator[EventLog | None]":
    """Yields the log of the settings; None where it is another machine's."""
    if settings.log == "embedded" and not (settings.log_folder.is_dir() and any(settings.log_folder.iterdir())):
        yield None
        return
    log = wiring.open_log(settings)
    try:
        yield log
    finally:
        log.close()


def _say(text: str) -> None:
    Console(stderr=True).print(text)
