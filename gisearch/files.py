"""Small files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AfterValidator

from gisearch.errors import ConfigError, disk_full


def expand_home(text: str) -> str:
    """Return a path whose leading ``~`` or ``~user`` is the home folder that it stands for.

    Raises:
        ValueError: no such home is known; a folder of that name would be made.
    """
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        raise ValueError(
            f"no home folder is known for {text!r}; expected a full path, or ./{text}."
        ) from None


def local_path(text: str) -> Path:
    """Return a path that a command was given, with its leading ``~`` expanded.

    Raises:
        ConfigError: no such home is known.
    """
    try:
        return Path(expand_home(text))
    except ValueError as error:
        raise ConfigError(str(error)) from None


LocalPath = Annotated[str, AfterValidator(expand_home)]
"""A configured path on this machine."""


def output_path(given: str, what: str, *, new_folder: bool = False) -> Path:
    """Return where a command is told to write, checked before it does anything else.

    Args:
        given: the path; ``~`` is the home folder.
        what: the option, for messages.
        new_folder: whether its folder is made where there is none.

    Raises:
        ConfigError: it is a folder, lies in none, or cannot be written.
    """
    path = local_path(given)
    if path.is_dir():
        raise ConfigError(f"{what}: {path} is a folder; expected a file, such as {path / 'NAME'}.")
    target = path.resolve()
    if new_folder:
        target = next(folder for folder in (target, *target.parents) if folder.exists())
    elif not path.exists() and not target.parent.is_dir():
        raise ConfigError(f"{what}: no folder {target.parent} to write {path.name} in.")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise ConfigError(f"{what}: {path} cannot be written; expected a file or folder of your own.")
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write, which appears when all went well; until then the old one is there.

    A link stays a link, and the file it leads to keeps its mode and, where that is allowed, its owner. Pipes
    and devices are written to, as is a file in a folder that takes no other.

    Raises:
        OSError: it cannot be written.
    """
    target = path.resolve()
    # Not of the target: what a shell gives for >(command) resolves to no path.
    before = path.stat() if path.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with path.open("wb") as through:
            yield through
        return
    if before is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        try:
            file = temporary.open("wb")
        except OSError as error:
            if before is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            file = path.open("wb")
        with file:
            if before is not None and file.name == str(temporary):
                _like(file.fileno(), before)
            yield file
        if file.name == str(temporary):
            temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _like(descriptor: int, before: os.stat_result) -> None:
    with suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def write_whole(path: Path, text: str) -> None:
    """Write a text file, and its folder, so that a reader sees the old file or the new one.

    Raises:
        DiskFullError: there is no space left; the old file is still there.
        ConfigError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            # A name that was no UTF-8 on the command line comes as lone surrogates.
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise disk_full(path, error) or ConfigError(f"cannot write {path}: {error.strerror}.") from None
