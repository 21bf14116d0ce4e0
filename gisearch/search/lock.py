"""One process at a time runs a sweep: two would hand the same trials out twice."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gisearch.errors import ConfigError

_LOCK_FILE = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the sweep's folder; a process that dies lets go of it.

    Raises:
        ConfigError: another process holds it; the message says which.
    """
    with (folder / _LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ConfigError(
                f"{folder} is being run by {holder}; expected a sweep that nobody runs."
            ) from None
        # A file system without locks (some network ones) cannot tell; the sweep itself needs none.
        except OSError:
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
