"""What ``clapometer doctor`` looks at, one function per part; each says what is wrong and what to do."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from clapometer.domain import ClapometerError, InputError, check_origin
from clapometer.operation import lake_checks, wiring
from clapometer.operation.check import Check
from clapometer.settings import Settings

if TYPE_CHECKING:
    from clapometer.eventlog import EventLog

LEAST_FREE_RATIO, LEAST_FREE_BYTES = 0.05, 256 << 20
MOST_SKEW = dt.timedelta(minutes=5)
LATE = dt.timedelta(minutes=10)
MOST_FILL = 0.8
SOON = dt.timedelta(days=14)
_SECONDS = 3.0


def examine(settings: Settings) -> Iterator[Check]:
    """Yields what is right and wrong with the parts that the settings name; changes nothing but a file it deletes."""
    for part, check in (
        ("folders", _folders), ("disk", _disk), ("keys", _keys), ("secrets", _secrets), ("label rule", _rule),
        ("schedule", _schedule),
        ("event log", _log), ("lake", lake_checks.lake), ("training", lake_checks.training), ("clock", _clock),
        ("services", _services),
    ):  # fmt: skip
        try:
            yield from check(settings)
        except ClapometerError as error:
            yield Check(part=part, status="error", found=str(error), advice="mend what the message names")
        except OSError as error:
            yield Check(part=part, status="error", found=str(error), advice="check the path and its permissions")
        except Exception as error:  # noqa: BLE001 - what one look fails of must not hide what the others find
            yield Check(
                part=part, status="error", found=f"this could not be looked at: {type(error).__name__}: {error}",
                advice="something that it reads is damaged, or this is a fault of Clapometer's",
            )  # fmt: skip


def _folders(settings: Settings) -> Iterator[Check]:
    for name, folder in _places(settings).items():
        if not folder.exists():
            yield Check(
                part="folders", status="warning", found=f"{name} {folder} is not there yet",
                advice="it is made at the first start; if it was there before, its disk may not be mounted",
            )  # fmt: skip
            continue
        reason = _unwritable(folder)
        yield Check(
            part="folders", status="error" if reason else "ok",
            found=f"{name} {folder} {f'cannot be written: {reason}' if reason else 'can be written'}",
            advice=f"give the user {_user()} write access to {folder}, or mount its disk for writing" if reason else "",
        )  # fmt: skip


def _places(settings: Settings) -> dict[str, Path]:
    places = {"lake": wiring.lake_storage(settings).root}
    return places | ({"log_folder": settings.log_folder} if settings.log == "embedded" else {})


def _unwritable(folder: Path) -> str:
    """Returns why no file can be made, written and synced in a folder; empty where one can."""
    probe = folder / f".doctor-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return ""


def _user() -> str:
    return str(os.geteuid())


def _disk(settings: Settings) -> Iterator[Check]:
    for name, folder in _places(settings).items():
        existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
        usage = shutil.disk_usage(existing)
        low = usage.free < LEAST_FREE_BYTES or usage.free < LEAST_FREE_RATIO * usage.total
        yield Check(
            part="disk", status="error" if low else "ok",
            found=f"{usage.free / 2**30:.2f} of {usage.total / 2**30:.2f} GiB are free for {name} {folder}",
            advice="free some space or enlarge it: a full log answers 503, a full lake loads nothing" if low else "",
        )  # fmt: skip


def _keys(settings: Settings) -> Iterator[Check]:
    from clapometer.gate import load_keys

    path = settings.keys_file
    if not path.exists():
        yield Check(
            part="keys", status="error", found=f"{path} is not there: nobody can send events",
            advice="make a key with `clapometer keys new`",
        )  # fmt: skip
        return
    now = wiring.utc_now()
    keys = load_keys(path)
    valid = [key for key in keys if key.expires is None or key.expires > now]
    ending = [key.id for key in valid if key.expires is not None and key.expires < now + SOON]
    yield Check(
        part="keys", status="ok" if valid and not ending else "warning" if valid else "error",
        found=f"{len(valid)} of {len(keys)} keys in {path} are valid"
        + (f"; {', '.join(ending)} end within {SOON.days} days" if ending else ""),
        advice="" if valid and not ending else "make a new key with `clapometer keys new` and give it to its users",
    )  # fmt: skip
    for key in valid:
        for origin in key.origins:
            if not _sent_by_browsers(origin):
                yield Check(
                    part="keys", status="error",
                    found=f"key {key.id} is for pages of {origin!r}, which no browser sends",
                    advice=f"`clapometer keys edit {key.id} --origin https://…`: until then it refuses every page",
                )  # fmt: skip


def _sent_by_browsers(origin: str) -> bool:
    try:
        check_origin(origin)
    except InputError:
        return False
    return True


def _secrets(settings: Settings) -> Iterator[Check]:
    path = settings.tokens_file
    if not path.exists():
        yield Check(
            part="secrets", status="warning", found=f"{path} is not there yet",
            advice="it is made at the first start; without the old one all tokens that were issued are void",
        )  # fmt: skip
        return
    wiring.open_token_secrets(settings)
    open_to = stat.S_IMODE(path.stat().st_mode) & 0o077
    yield Check(
        part="secrets", status="error" if open_to else "ok",
        found=f"{path} can be read by {'others than its owner' if open_to else 'its owner alone'}",
        advice=f"chmod 600 {path}, then rotate the secret: whoever read it can sign impressions" if open_to else "",
    )  # fmt: skip


def _rule(settings: Settings) -> Iterator[Check]:
    rule = wiring.label_rule(settings.label_rule)
    yield Check(part="label rule", status="ok", found=f"{rule.id} from {settings.label_rule or 'Clapometer itself'}")


def _schedule(settings: Settings) -> Iterator[Check]:
    from clapometer.training.when import Interval, parse_when

    when = parse_when(settings.schedule)
    found = (
        f"{settings.schedule}: as long after the run before"
        if isinstance(when, Interval)
        else f"{settings.schedule}: next on {when.after(wiring.utc_now()):%A %Y-%m-%d at %H:%M} UTC"
    )
    yield Check(part="schedule", status="ok", found=found)


def _log(settings: Settings) -> Iterator[Check]:
    from clapometer.eventlog import DamagedLogError
    from clapometer.loading.lag import log_ends

    if settings.log == "embedded" and not settings.log_folder.exists():
        return  # `folders` says so
    try:
        log = wiring.open_log(settings)
    except DamagedLogError as error:
        yield Check(part="event log", status="error", found=str(error), advice=_reached(settings, error.identity))
        return
    try:
        ends = log_ends(log)
        fill = log.fill_ratio()
        name, full = settings.log.split("?")[0], fill > MOST_FILL
        yield Check(
            part="event log", status="warning" if full else "ok",
            found=f"{name} answers: {len(ends)} partitions, {sum(ends.values()):,} blocks so far, {fill:.0%} full",
            advice="the loader does not keep up or log_max_bytes is small: see the lag below" if full else "",
        )  # fmt: skip
        yield from _lag(settings, log, ends)
    finally:
        log.close()


def _reached(settings: Settings, identity: str) -> str:
    """Returns how far the lake has a log that cannot be read any more: what is safe, and so what is not."""
    from clapometer.lake.progress import load_app_id

    advice = "keep a copy of both folders before anything else"
    if not identity or not wiring.has_lake(settings):
        return advice
    reached = wiring.open_lake(settings).txn("events", load_app_id(identity, 0)) or 0
    return f"the lake has the first {reached:,} blocks of this log; those after them are lost. {advice.capitalize()}"


def _lag(settings: Settings, log: EventLog, ends: dict[int, int]) -> Iterator[Check]:
    from clapometer.lake.progress import loaded_offsets

    if not wiring.has_lake(settings):
        return
    loaded = loaded_offsets(wiring.open_lake(settings), log.identity, log.partitions())
    behind = {partition: end - loaded[partition] for partition, end in ends.items() if end > loaded[partition]}
    ahead = {partition: loaded[partition] - end for partition, end in ends.items() if end < loaded[partition]}
    if ahead:
        yield Check(
            part="lag", status="error",
            found=f"the lake has loaded {sum(ahead.values()):,} blocks that the log never had",
            advice="the log was replaced by an older copy: restore lake and log from the same backup",
        )  # fmt: skip
        return
    oldest = _oldest(log, loaded, behind)
    late = oldest is not None and wiring.utc_now() - oldest > LATE
    yield Check(
        part="lag", status="error" if late else "ok",
        found=f"{sum(behind.values()):,} blocks wait to be loaded"
        + (f", the oldest since {oldest:%Y-%m-%d %H:%M:%S} UTC" if oldest else ""),
        advice="start `clapometer load`, or look into its log for why it does not get on" if late else "",
    )  # fmt: skip


def _oldest(log: EventLog, loaded: dict[int, int], behind: dict[int, int]) -> dt.datetime | None:
    """Returns when the oldest block that waits was received."""
    from clapometer.domain import open_block

    first = (record for partition in behind for record in log.read(partition, loaded[partition], 1)[:1])
    return min((open_block(record.block)[0].received_at for record in first), default=None)


def _clock(settings: Settings) -> Iterator[Check]:
    now = wiring.utc_now()
    for name, moment in _witnesses(settings):
        skew = moment - now
        wrong = skew > MOST_SKEW
        yield Check(
            part="clock", status="error" if wrong else "ok",
            found=f"this machine's clock says {now:%Y-%m-%d %H:%M:%S} UTC, {name} is of {moment:%Y-%m-%d %H:%M:%S} UTC",
            advice="the clock is behind by at least {}: set it (chrony, systemd-timesyncd); events are stamped and "
            "tokens judged by it".format(str(skew).split(".", maxsplit=1)[0]) if wrong else "",
        )  # fmt: skip


def _witnesses(settings: Settings) -> Iterator[tuple[str, dt.datetime]]:
    """Yields moments that cannot be in the future."""
    for path in (settings.keys_file, settings.tokens_file):
        if path.exists():
            yield str(path), dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    if wiring.has_lake(settings):
        with wiring.open_lake(settings).connect(threads=1) as con:
            newest = con.execute("SELECT epoch_us(max(received_at)) FROM events").fetchall()[0][0]
        if newest is not None:
            yield "the newest event", dt.datetime.fromtimestamp(newest / 1e6, dt.UTC)


def _services(settings: Settings) -> Iterator[Check]:
    for name, port in (("collector", settings.collector_port), ("serving", settings.serving_port)):
        if port:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            yield _service(name, f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/readyz")  # noqa: S104


def _service(name: str, url: str) -> Check:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - our own address
            skew = _skew(answer.headers.get("Date"))
    except urllib.error.HTTPError as error:
        said = error.read(300).decode(errors="replace").strip()
        return Check(
            part="services", status="error", found=f"{name} is up but not ready ({error.code}): {said}",
            advice="mend what it says; it needs no restart",
        )  # fmt: skip
    except OSError as error:
        return Check(
            part="services", status="warning", found=f"{name} does not answer at {url}: {error}",
            advice="start it with `clapometer up` (or alone); ignore this where it runs on another machine",
        )  # fmt: skip
    wrong = skew is not None and abs(skew) > MOST_SKEW
    return Check(
        part="services", status="error" if wrong else "ok",
        found=f"{name} is ready at {url}" + (f"; its clock differs by {skew}" if wrong else ""),
        advice="set the clocks of both machines" if wrong else "",
    )  # fmt: skip


def _skew(date: str | None) -> dt.timedelta | None:
    return None if date is None else parsedate_to_datetime(date) - wiring.utc_now()
