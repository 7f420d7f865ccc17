"""Rows of KuaiRand's files, each judged by itself: a bad one costs no other.

A row is a line: no cell of these files has a line break, so a stray quote costs its own row only.
"""

import csv
import datetime as dt
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from clapometer.domain import InputError
from clapometer.domain.codec import MAX_FUTURE
from clapometer.domain.events import MAX_CLIP_MS, MAX_TOTAL_MS
from clapometer.traffic.recorded.bad_rows import RowsRead
from clapometer.traffic.recorded.readers import open_bytes

Id = Annotated[int, Meta(ge=0, le=2**53)]
Flag = Annotated[int, Meta(ge=0, le=1)]
_EARLIEST = dt.datetime(2017, 1, 1, tzinfo=dt.UTC)
"""KuaiRand is of 2022; what is older is another unit than milliseconds, or damage."""
_MAX_LINE = 1_048_576
_COLUMN = re.compile(r" - at `\$\.([a-z_]+)`$")


class Play(msgspec.Struct, frozen=True):
    """A row of a log: the columns that are read. The sample has ``label``, logs as published what is beneath it."""

    user_id: Id
    video_id: Id
    time_ms: int
    play_time_ms: Annotated[int, Meta(ge=0, le=MAX_TOTAL_MS)]
    duration_ms: Annotated[int, Meta(ge=0, le=MAX_CLIP_MS)]
    is_follow: Flag
    is_comment: Flag
    is_forward: Flag
    label: Flag | None = None
    is_like: Flag | None = None
    is_hate: Flag | None = None
    is_rand: Flag | None = None
    tab: Annotated[int, Meta(ge=0, le=1_000)] | None = None

    def __post_init__(self) -> None:
        """Refuses a time at which nothing of this kind was recorded.

        Raises:
            InputError: Names the column and the likely fault.
        """
        latest = dt.datetime.now(dt.UTC) + MAX_FUTURE
        if not _EARLIEST.timestamp() * 1000 <= self.time_ms <= latest.timestamp() * 1000:
            msg = (
                f"{self.time_ms} is no time from {_EARLIEST.year} until tomorrow in milliseconds since 1970; correct it"
            )
            raise InputError(msg, "time_ms")


class Video(msgspec.Struct, frozen=True):
    """A row of video features: the columns that are read."""

    video_id: Id
    author_id: Id | None = None
    video_type: str | None = None


Kind = TypeVar("Kind", Play, Video)


def _needed(kind: type[Play | Video], names: list[str]) -> list[str]:
    """Returns the columns in which every row needs a cell, among those that the header names."""
    if kind is Video:
        return ["video_id"]
    always = [field.name for field in msgspec.structs.fields(kind) if field.required]
    return [*always, *(["label"] if "label" in names else [name for name in ("is_like", "is_hate") if name in names])]


def read_kuairand(path: Path, kind: type[Kind], read: RowsRead) -> Iterator[Kind]:
    """Yields the rows that are good; ``read`` counts them and says which are bad.

    Raises:
        InputError: The file is not of KuaiRand's form, or cannot be read to its end.
    """
    lines = _lines(path, read)
    header = next(lines, "").strip()
    delimiter = max("\t,", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    _check_header(path, kind, names)
    needed = _needed(kind, names)
    for line in filter(str.strip, lines):
        read.rows += 1
        try:
            yield _row(line, delimiter, names, needed, kind)
        except InputError as error:
            read.refuse(read.rows, error)


def _lines(path: Path, read: RowsRead) -> Iterator[str]:
    try:
        # A byte that is no UTF-8 stays in its cell, so that it costs that row only.
        with open_bytes(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape") as text:
            while line := text.readline(_MAX_LINE):
                yield line
    except (OSError, EOFError, zlib.error) as error:
        msg = (
            f"cannot be read beyond row {read.rows:,}: {error}. Nothing was sent; get the file again, or unpack what "
            "is whole of it (`zcat`) and replay that"
        )
        raise InputError(msg, str(path)) from error


def _check_header(path: Path, kind: type[Play | Video], names: list[str]) -> None:
    due = kind.__struct_fields__ if kind is Video else _needed(Play, [])
    missing = [name for name in due if name not in names]
    if kind is Play and not {"label", "is_like"} & set(names):
        missing.append("label or is_like")
    if missing:
        msg = f"not of KuaiRand's form: the header has no {', '.join(missing)}"
        raise InputError(msg, str(path))


def _row(line: str, delimiter: str, names: list[str], needed: list[str], kind: type[Kind]) -> Kind:
    try:
        cells = next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(str(error)) from error
    if len(cells) != len(names):
        msg = f"{len(cells)} cells under {len(names)} columns"
        raise InputError(msg)
    texts = dict(zip(names, map(str.strip, cells), strict=True))
    given = {name: texts[name] for name in kind.__struct_fields__ if texts.get(name)}
    for name in needed:
        if name not in given:
            msg = "the cell is empty; every row needs one"
            raise InputError(msg, name)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), given) from error
    except UnicodeError as error:
        msg = "the cell holds bytes that are no UTF-8 text; correct it"
        raise InputError(msg, next(name for name, text in given.items() if not text.isprintable())) from error


def _refusal(error: str, given: dict[str, str]) -> InputError:
    column = _COLUMN.search(error)
    name = column[1] if column else ""
    bound = re.search(r"[<>]= -?[0-9]+", error)
    due = f"a whole number {bound[0]}" if bound else "a whole number"
    value = given.get(name, "")
    shown = repr(value if len(value) <= 100 else value[:100] + "…")
    return InputError(f"{shown} is not {due}; correct it", name)
