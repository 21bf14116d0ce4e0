"""Input files: found or reported missing, opened by their content."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from gisearch.errors import DataError, nearest_name

# What reading a damaged compressed file may raise; an encrypted zip is a RuntimeError.
READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)

_ZIP = b"PK\x03\x04"
_UNPACK = "expected plain text, gzip, xz, bzip2 or zip: unpack it first"
# What is known by its first bytes and not read: what it is, and what to do about it.
_NOT_READ = {
    b"\x28\xb5\x2f\xfd": f"is compressed by zstd; {_UNPACK}",
    b"\x04\x22\x4d\x18": f"is compressed by lz4; {_UNPACK}",
    b"\x1f\x9d": f"is compressed by compress; {_UNPACK}",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive; unpack it and name the file to read",
    b"Rar!": "is a RAR archive; unpack it and name the file to read",
    b"\xd0\xcf\x11\xe0": "is a spreadsheet; save the sheet as tab-separated text first",
    b"PAR1": "is a Parquet file; save it as CSV first",
    b"\x89HDF": "is an HDF5 file; save the table as CSV first",
    b"%PDF": "is a PDF; expected a table as text",
}
_WEB_PAGE = (b"<!doctype html", b"<html")
_TAR = slice(257, 262)
# A gzip in a zip, as some publishers have it, and no more.
_MAX_LAYERS = 3


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
    beside = (
        [entry.name for entry in path.parent.iterdir() if entry.is_file()] if path.parent.is_dir() else []
    )
    missing = "" if path.parent.is_dir() else f" (there is no folder {path.parent})"
    raise DataError(f"{path}: no such file{missing}; expected {what}.{nearest_name(path.name, beside)}")


def open_bytes(path: Path) -> BinaryIO:
    """Open a plain, gzip, xz, bzip2 or zip (one member) file by its content, whatever its name.

    Raises:
        DataError: the file cannot be opened, is a zip of several files, or is of a kind that is not read,
            such as a spreadsheet, a tar archive or zstd; the message names it.
    """
    try:
        stream: BinaryIO = path.open("rb")
        for _ in range(_MAX_LAYERS):
            start = stream.read(512)
            stream.seek(0)
            inner = _decompressed(stream, start, path)
            if inner is None:
                return stream
            stream = inner
        return stream
    except READ_ERRORS as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None


def _decompressed(stream: BinaryIO, start: bytes, path: Path) -> BinaryIO | None:
    """Return what a compressed stream holds; None where it is not compressed."""
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(stream))
    if start.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.open(stream))
    if start.startswith(b"BZh") and start[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return cast(BinaryIO, bz2.open(stream))
    if start.startswith(_ZIP):
        return _only_member(stream, path)
    if start[_TAR] == b"ustar":
        raise DataError(f"{path}: is a tar archive; unpack it and name the file to read.")
    if start.lstrip().lower().startswith(_WEB_PAGE):
        raise DataError(f"{path}: is a web page; expected a table as text: download the file itself.")
    for magic, what in _NOT_READ.items():
        if start.startswith(magic):
            raise DataError(f"{path}: {what}.")
    return None


def _only_member(stream: BinaryIO, path: Path) -> BinaryIO:
    with zipfile.ZipFile(stream) as archive:
        members = [name for name in archive.namelist() if not _is_by_product(name)]
        if "[Content_Types].xml" in members:
            raise DataError(f"{path}: is a spreadsheet; save the sheet as tab-separated text first.")
        if len(members) != 1:
            raise DataError(
                f"{path}: the zip archive holds {len(members)} files ({listing(members)}); "
                "unpack it and name the one to read."
            )
        return io.BytesIO(archive.read(members[0]))


def _is_by_product(name: str) -> bool:
    """Return whether a member of a zip is a folder, or what macOS puts beside the files."""
    last = name.rpartition("/")[2]
    return not last or name.startswith("__MACOSX/") or last.startswith("._") or last == ".DS_Store"


def listing(names: Sequence[str]) -> str:
    """Return names in quotation marks for a message, at most 16 of them."""
    shown = ", ".join(repr(name) for name in names[:16])
    return shown + (f", ... ({len(names)} in all)" if len(names) > 16 else "")
