"""Input files: found or reported missing, opened by their content."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from gisearch.errors import DataError, nearest_name

# What reading a damaged compressed file may raise.
READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


def check_file(path: str | Path, what: str) -> Path:
    """Return ``path`` where it is a file.

    Raises:
        DataError: it is missing or a folder; the message gives the nearest name in that folder.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"{path}: is a folder; expected a file with {what}.")
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    missing = "" if path.parent.is_dir() else f" (there is no folder {path.parent})"
    raise DataError(f"{path}: no such file{missing}; expected {what}.{nearest_name(path.name, beside)}")


def open_bytes(path: Path) -> BinaryIO:
    """Open a plain, gzip or zip (one member) file by its content, whatever its name.

    Raises:
        DataError: the file cannot be opened, is a spreadsheet, or a zip of several files.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
        if magic[:2] == b"\x1f\x8b":
            return cast(BinaryIO, gzip.open(path))
        if magic != b"PK\x03\x04":
            return path.open("rb")
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            if "[Content_Types].xml" in members:
                raise DataError(f"{path}: is a spreadsheet; save the sheet as tab-separated text first.")
            if len(members) != 1:
                raise DataError(
                    f"{path}: the zip archive holds {len(members)} files ({listing(members)}); "
                    "unpack it and name the one to read."
                )
            return io.BytesIO(archive.read(members[0]))
    except READ_ERRORS as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None


def listing(names: Sequence[str]) -> str:
    """Return names in quotation marks for a message, at most 16 of them."""
    shown = ", ".join(repr(name) for name in names[:16])
    return shown + (f", ... ({len(names)} in all)" if len(names) > 16 else "")
