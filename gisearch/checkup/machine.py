"""The machine as this process finds it: processors, memory, folders, locale, proxy."""

from __future__ import annotations

import locale
import os
import shutil
import sys
import tempfile
from pathlib import Path

from gisearch.checkup.finding import State
from gisearch.home import home_trouble
from gisearch.memory import allowed_memory
from gisearch.processors import allowed_processors
from gisearch.proxies import given_proxies
from gisearch.tracking.redact import redact_text

# Less leaves Ray, the sweep and one trial, each with PyTorch, no room.
_LITTLE_MEMORY = 2 * 2**30
# Ray (2.60) puts no more objects on a disk that is fuller.
_FULL = 0.95


def check_processors() -> tuple[State, str]:
    """Count the processors that may be used."""
    allowed, there = allowed_processors(), os.cpu_count() or 1
    limits = "" if allowed == there else f" of {there} (affinity or a control group allows no more)"
    return State.OK, f"{allowed} processor{'s' * (allowed > 1)}{limits}"


def check_memory() -> tuple[State, str]:
    """Measure the memory that may be used."""
    import psutil

    allowed, memory = allowed_memory(), psutil.virtual_memory()
    free = min(memory.available, allowed)
    limits = "" if allowed == memory.total else f" of {_size(memory.total)} (a control group or ulimit -v)"
    text = f"{_size(allowed)}{limits}, {_size(free)} free"
    if free < _LITTLE_MEMORY:
        return State.NOTE, (
            f"{text}: little for Ray and a trial; end other programs, raise the limit, or set "
            "search.concurrency=1 and a smaller model."
        )
    return State.OK, text


def check_temporary() -> tuple[State, str]:
    """Look at the temporary folders, of Python and of a Ray that is started here."""
    from gisearch.search.ray_start import check_temporary_folder

    try:
        with tempfile.NamedTemporaryFile():
            folder = Path(tempfile.gettempdir())
    except OSError as error:
        return (
            State.PROBLEM,
            f"no temporary folder can be written ({error}); set TMPDIR to one, or free space.",
        )
    taken = folder
    if not os.environ.get("RAY_ADDRESS"):
        folder = check_temporary_folder()
    given = os.environ.get("TMPDIR")
    if given and Path(given).absolute() != taken:
        return (
            State.NOTE,
            f"TMPDIR={given} is no folder that can be written, so {taken} is taken; correct it.",
        )
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    disk = shutil.disk_usage(existing)
    if disk.used / disk.total > _FULL:
        return State.NOTE, (
            f"the disk of {folder} is {100 * disk.used / disk.total:.0f} % full ({_size(disk.free)} free), "
            "and Ray stores nothing large there; free some space, or set RAY_TMPDIR to a short path on "
            "another disk."
        )
    return State.OK, f"{folder}, {_size(disk.free)} free"


def check_home() -> tuple[State, str]:
    """Look for a home folder that can be written."""
    trouble = home_trouble()
    return (State.OK, str(Path.home())) if trouble is None else (State.NOTE, trouble)


def check_locale() -> tuple[State, str]:
    """Look whether every sign can be written."""
    encodings = {
        "file names": sys.getfilesystemencoding(),
        "files": locale.getpreferredencoding(False),
        "output": sys.stdout.encoding or "utf-8",
    }
    other = [f"{what} {name}" for what, name in encodings.items() if name.lower().replace("-", "") != "utf8"]
    chosen = next((name for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), None)
    if other:
        return State.NOTE, (
            f"not all is UTF-8 ({', '.join(other)}), and signs outside it are shown as ?; set LC_ALL=C.UTF-8 "
            "and unset PYTHONIOENCODING."
        )
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        value = "" if chosen is None else f"{chosen}={os.environ[chosen]}"
        return State.NOTE, f"{value} is no locale of this machine; set LC_ALL=C.UTF-8."
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return State.OK, "UTF-8"


def check_proxy() -> tuple[State, str]:
    """Name the proxies that other machines are asked through; this one never is."""
    proxies = given_proxies()
    if not proxies:
        return State.OK, "none"
    shown = ", ".join(f"{name}={redact_text(value)}" for name, value in proxies.items())
    broken = [name for name, value in proxies.items() if "://" not in value]
    if broken:
        return State.NOTE, f"{shown}; begin {' and '.join(broken)} with http://."
    return State.OK, f"{shown}; this machine is excepted, add others to no_proxy"


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
