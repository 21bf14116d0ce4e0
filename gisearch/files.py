"""Small files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

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


LocalPath = Annotated[str, AfterValidator(expand_home)]
"""A configured path on this machine."""


def write_whole(path: Path, text: str) -> None:
    """Write a text file, and its folder, so that a reader sees the old file or the new one.

    Raises:
        DiskFullError: there is no space left; the old file is still there.
        ConfigError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise disk_full(path, error) or ConfigError(f"cannot write {path}: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
