"""One process at a time runs a sweep: two would hand the same trials out twice."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gisearch.errors import ConfigError

_LOCK_FILE = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the sweep's folder; a process that dies lets go of it.

    Raises:
        ConfigError: another process holds it; the message says which.
    """
    path = folder / _LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # A file system without locks (some network ones) cannot tell; the sweep itself needs none.
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = path.read_text(encoding="utf-8").strip() or "another process"
                raise ConfigError(
                    f"{folder} is being run by {holder}; expected a sweep that nobody runs."
                ) from None
            # On a full disk the holder has no name; it holds the folder all the same.
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)
