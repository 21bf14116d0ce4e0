"""One process at a time runs a sweep: two would hand the same trials out twice."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gisearch.errors import ConfigError, disk_full

_LOCK_FILE, _HELD_FILE = "lock", "lock.held"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the sweep's folder; a process that dies lets go of it.

    A file system without locks (some network ones, FUSE) has a file instead, which says who made it. One that
    a dead process of this machine left does not count; of another machine nobody here can tell.

    Raises:
        ConfigError: another process holds it, and the message says which; or the folder cannot be written.
    """
    path = folder / _LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise disk_full(path, error) or ConfigError(
            f"{folder} cannot be written ({error.strerror}); expected a sweep that can go on there."
        ) from None
    held = None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text(encoding="utf-8").strip() or "another process"
            raise _taken(folder, holder) from None
        except OSError:
            held = _hold_by_file(folder)
        # On a full disk the holder has no name; it holds the folder all the same.
        with suppress(OSError):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{_this_process()}\n".encode())
        yield
    finally:
        os.close(descriptor)
        if held is not None:
            held.unlink(missing_ok=True)


def _hold_by_file(folder: Path) -> Path:
    path = folder / _HELD_FILE
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            holder = path.read_text(encoding="utf-8").strip()
            if not _has_died(holder):
                raise _taken(
                    folder, f"{holder or 'another process'} (or it died there and left {path})"
                ) from None
            path.unlink(missing_ok=True)
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{_this_process()}\n")
        return path


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _has_died(holder: str) -> bool:
    """Return whether a holder was a process of this machine that is no more."""
    found = re.fullmatch(r"process (\d+) on (.*)", holder)
    if found is None or found[2] != socket.gethostname():
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _taken(folder: Path, holder: str) -> ConfigError:
    return ConfigError(f"{folder} is being run by {holder}; expected a sweep that nobody runs.")
