"""DuckDB, opened: the one way in, so that what holds for every connection is said once."""

from __future__ import annotations

from pathlib import Path

import duckdb


def connect(
    database: Path | str = ":memory:",
    *,
    read_only: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    **options: str | bool,
) -> duckdb.DuckDBPyConnection:
    """Returns a connection in UTC, without a progress bar, that fetches and loads no extension unless it is told to.

    A statement that needs an extension would else bring code from the internet into the process, or wait for it.

    Args:
        database: A file, or nothing but memory.
        read_only: Whether the file is only read.
        threads: How many; those of the machine where None.
        memory_limit: DuckDB's, such as ``"2GB"``; what does not fit spills to ``temp_directory``.
        options: More settings of DuckDB.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        **options,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    connection = duckdb.connect(str(database), read_only=read_only, config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection
