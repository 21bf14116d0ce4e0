"""The dialect of a delimited text: its encoding, its separator, and whether quotation marks are quotes.

A header and its rows are read by the same rules. A cell that begins with a quotation mark ends with one, as
in RFC 4180, whatever the separator; but in tab-separated biology a mark may be a prime that none closes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from gisearch.data.sources.files import READ_ERRORS, open_bytes
from gisearch.errors import DataError

_BOM = b"\xef\xbb\xbf"
_SEPARATORS = "\t;,"
# A cell of a matrix' header or an annotation may be long.
_FIELD_LIMIT = 1 << 24


@dataclass(frozen=True)
class Record:
    """One record of a text.

    Attributes:
        fields: its cells.
        lines: how many lines it takes; more than one where a quoted cell holds a line break.
    """

    fields: tuple[str, ...]
    lines: int


def read_content(path: Path, max_lines: int | None = None) -> bytes:
    """Return a text file's content, or its first lines: decompressed, without a mark of its encoding.

    Line ends of old Macs are made those of today.

    Raises:
        DataError: the file cannot be read, or it is no text in UTF-8: it is UTF-16, or holds a zero byte.
    """
    try:
        with open_bytes(path) as stream:
            content = stream.read() if max_lines is None else _head(stream, max_lines)
    except READ_ERRORS as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: is text in UTF-16; expected UTF-8: save it as such.")
    if (zero := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, zero) + 1
        after = content[zero : zero + 64]
        cause = (
            "text in UTF-16 begins there; expected UTF-8"
            if b"\0\0" not in after and after.count(b"\0") * 3 > len(after) > 3
            else "a byte is zero, as in a damaged file; expected text"
        )
        raise DataError(f"{path}, line {line}: {cause}.")
    content = content.removeprefix(_BOM)
    if b"\r" in content and b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    return content


def _head(stream: BinaryIO, max_lines: int) -> bytes:
    return b"".join(islice(stream, max_lines))


def first_record(lines: Sequence[str], separator: str) -> Record:
    """Return the first record of some lines; a quotation mark that nothing closes is an ordinary one."""
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
    try:
        fields = next(reader)
    except csv.Error:
        return Record(tuple(lines[0].split(separator)), 1)
    return Record(tuple(fields), reader.line_num)


def separators_of(lines: Sequence[str]) -> list[str]:
    """Return what may separate the cells of the first line, most likely first; never empty."""
    widths = {separator: len(first_record(lines, separator).fields) for separator in _SEPARATORS}
    likely = [separator for separator in _SEPARATORS if widths[separator] > 1]
    # A tab is never part of a name; of the others, the one that occurs more often separates.
    return sorted(likely, key=lambda s: (s != "\t", -widths[s])) or [" "]


def has_quotes(content: bytes, separator: str, where: str, lines_before: int) -> bool:
    """Return whether quotation marks enclose cells.

    Raises:
        DataError: of a comma- or semicolon-separated text, a mark that opens a cell is never closed.
    """
    if b'"' not in content:
        return False
    sep = re.escape(separator.encode())
    inside = rb'[^"]*(?:""[^"]*)*'
    if separator in "\t ":
        # A cell of several lines that holds the separator too is two primes rather than one cell.
        inside = rb'(?:[^"\n]*(?:""[^"\n]*)*|[^"' + sep + rb']*(?:""[^"' + sep + rb"]*)*)"
    opening = rb"(?:^|(?<=[\n" + sep + rb"]))"
    closing = rb"(?=\r?\n|" + sep + rb"|\r?\Z)"
    closed = re.compile(opening + b'"' + inside + b'"' + closing)
    rest = closed.sub(b"", content)
    stray = re.search(opening + b'"', rest)
    if stray is None:
        return len(rest) < len(content)
    if separator in "\t ":
        return False
    # The same place in the content: all before it is closed cells and what was kept.
    kept, place = stray.start(), 0
    for cell in closed.finditer(content):
        if cell.start() - place > kept:
            break
        kept -= cell.start() - place
        place = cell.end()
    line = lines_before + 1 + content.count(b"\n", 0, place + kept)
    raise DataError(f"{where}, line {line}: a quotation mark opens a cell and is never closed.")


def records(text: str, separator: str, quotes: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a text with the line, from 0, on which each begins."""
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    line = 0
    for fields in reader:
        yield line, fields
        line = reader.line_num
