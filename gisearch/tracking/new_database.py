"""Making a new SQLite database for MLflow without waiting for the disk at every statement."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def is_new(database: Path) -> bool:
    """Return whether a database is yet to be made; an empty file is one, as SQLite sees it."""
    return not database.exists() or not database.stat().st_size


@contextmanager
def alone_with(database: Path | None) -> Iterator[None]:
    """Wait until no other process makes the database, and have others wait meanwhile.

    Two that make it at a time would each find tables of the other. It is the folder that is held, so no file
    of a lock is left; a file system without locks holds nothing.

    Args:
        database: the file; None is a store of another kind.
    """
    if database is None:
        yield
        return
    folder = os.open(database.parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def made_at_once(database: Path | None) -> Iterator[None]:
    """Have an SQLite database that MLflow makes meanwhile written to the disk once, at the end.

    MLflow (3.17) replays its migrations, some 300 statements, and SQLite waits for the disk after each: that
    is most of the seconds it takes. A process that is killed meanwhile loses nothing by this, as SQLite
    promises; a machine that loses its power may, of a file that holds nothing yet. Does nothing for a
    database that is there, or is no file.

    Args:
        database: the file; None is a store of another kind.
    """
    if database is None or not is_new(database):
        yield
        return
    from sqlalchemy import Engine, event

    levels: list[tuple[sqlite3.Connection, int]] = []

    def hurry(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            levels.append((connection, connection.execute("PRAGMA synchronous").fetchone()[0]))
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", hurry)
    try:
        yield
    finally:
        event.remove(Engine, "connect", hurry)
        for connection, level in levels:
            # Those that MLflow keeps are careful again; others are closed.
            with suppress(sqlite3.ProgrammingError):
                connection.execute(f"PRAGMA synchronous={level}")
        with suppress(OSError):
            _write_out(database)


def _write_out(database: Path) -> None:
    for path in (database, database.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
