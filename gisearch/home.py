"""Doing without a home folder, as in containers that run as a user of no name."""

from __future__ import annotations

import os
import pwd
import tempfile
from contextlib import suppress
from pathlib import Path


def do_without_home() -> None:
    """Give libraries what they look for in a home folder, or in the list of users, where there is none.

    Some end in an error without it. A home that is there but cannot be written stays: it may hold what is
    read.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = _own_temporary()
        os.environ["HOME"] = str(home)
    if not os.access(home, os.W_OK | os.X_OK):
        # Matplotlib would say at every start that it makes itself another folder.
        os.environ.setdefault("MPLCONFIGDIR", str(_own_temporary()))
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER")):
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            os.environ["USER"] = f"user{os.getuid()}"


def home_trouble() -> str | None:
    """Return what is wrong with the home folder and what helps, in a sentence; None where nothing is.

    It is asked after :func:`do_without_home`, which every command begins with.
    """
    home = Path(os.environ.get("HOME") or Path.home())
    if home.parent == Path(tempfile.gettempdir()) and home.name.startswith("gisearch-"):
        return (
            f"this user has none; {home} stands in for it, and caches there are lost with it: "
            "set HOME to a folder of your own."
        )
    if not home.is_dir():
        return f"HOME={home} is no folder; set HOME to one of your own."
    if not os.access(home, os.W_OK | os.X_OK):
        return (
            f"{home} cannot be written, so nothing is cached there; set HOME, or GISEARCH_CACHE and "
            "MPLCONFIGDIR, to folders of your own."
        )
    return None


def _own_temporary() -> Path:
    """Return a folder of this user alone; one that another has made is none."""
    folder = Path(tempfile.gettempdir()) / f"gisearch-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid == os.getuid() and not folder.is_symlink():
            return folder
    return Path(tempfile.mkdtemp(prefix="gisearch-"))
