"""Delimited text tables: which separator, where the header is, and what is wrong on which line.

Every reader of a table goes through :func:`open_table`, so that a missing file, a missing column or
a value that is no number is reported in the same words everywhere.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.data.sources.files import READ_ERRORS, check_file, listing, open_bytes
from gisearch.errors import DataError, nearest_name

if TYPE_CHECKING:
    import pandas as pd

_HEADER_SEARCH_LINES = 30
_NAN_TOKENS = frozenset({"nan", "+nan", "-nan", "na", "n/a", "null", "none"})


@dataclass(frozen=True)
class Table:
    """A delimited text file whose header has been found.

    Attributes:
        path: the file.
        columns: its column names, or ``"1"``, ``"2"``, ... for a file without a header.
        separator: the character between the fields.
        lines_before: number of lines before the first row: the header and what precedes it.
    """

    path: Path
    columns: tuple[str, ...]
    separator: str
    lines_before: int

    def line(self, row: int) -> int:
        """Return the line of the file that holds ``row`` (rows from 0, lines from 1)."""
        return self.lines_before + 1 + row

    def find(self, *accepted: str) -> str | None:
        """Return the column that goes by one of the accepted names, the first accepted name first."""
        present = {_plain(column): column for column in reversed(self.columns)}
        return next((present[_plain(name)] for name in accepted if _plain(name) in present), None)

    def require(self, *accepted: str) -> str:
        """Return the column that goes by one of the accepted names.

        Raises:
            DataError: there is none; the message gives the file, the expected and the found columns.
        """
        column = self.find(*accepted)
        if column is None:
            expected = " or ".join(repr(name) for name in accepted[:3])
            raise DataError(
                f"{self.path}: no column {expected}; found the columns {listing(self.columns)}."
                f"{nearest_name(accepted[0], self.columns)}"
            )
        return column

    def read(
        self, names: Sequence[str], numbers: Sequence[str] = (), missing: Sequence[str] = ("",)
    ) -> pd.DataFrame:
        """Read some columns.

        Args:
            names: columns of text, returned as categories; an empty cell is an empty string.
            numbers: columns of numbers, returned as float64; a missing value is NaN.
            missing: what stands for a missing number, besides nothing at all.

        Returns:
            One row per line after the header, blank lines left out; the index is the row for
            :meth:`line`.

        Raises:
            DataError: a row has too many fields; a number is not one, or is not finite.
        """
        position = {column: i for i, column in reversed(list(enumerate(self.columns)))}
        texts = {position[name] for name in names}
        values = {position[name] for name in numbers} - texts
        overflow = len(self.columns)
        dtype: dict[int, Any] = dict.fromkeys(texts | {overflow}, "category")
        try:
            frame = self._parse(dtype | dict.fromkeys(values, np.float64), values, missing)
        except (ValueError, OverflowError):
            # Some cell is no number: read the same cells as text to say which one.
            frame = self._parse(dtype | dict.fromkeys(values, str), set(), missing)
            for column in values:
                frame[column] = self._to_numbers(frame[column], self.columns[column], missing)
        for number in values:
            self._check_finite(frame[number].to_numpy(), self.columns[number])
        extra = np.flatnonzero(~_empty(frame[overflow]))
        if len(extra):
            raise DataError(
                f"{self.path}, line {self.line(int(extra[0]))}: more fields than the {overflow} columns "
                f"{listing(self.columns)}."
            )
        frame = frame.drop(columns=overflow)
        blank = np.ones(len(frame), dtype=bool)
        for number in values:
            blank &= frame[number].isna().to_numpy()
        for text in texts:
            blank &= _empty(frame[text])
        return frame[~blank].rename(columns=dict(enumerate(self.columns)))

    def _parse(self, dtype: Mapping[int, Any], numbers: set[int], missing: Sequence[str]) -> pd.DataFrame:
        import pandas as pd

        options: dict[str, Any] = {
            "sep": self.separator,
            "header": None,
            "names": range(len(self.columns) + 1),
            "usecols": sorted(dtype),
            "index_col": False,
            "dtype": dtype,
            "skip_blank_lines": False,
            "keep_default_na": False,
            "na_values": {column: ["", *missing] for column in numbers},
            "encoding": "utf-8",
            "encoding_errors": "replace",
            "low_memory": False,
            # In tab-separated biology a quotation mark is a prime, never a quote.
            "quoting": 3 if self.separator in "\t " else 0,
        }
        # An empty row of one field too many makes pandas keep the overflow column that `read` checks.
        guide = self.separator.encode() * len(self.columns) + b"\n"
        try:
            with open_bytes(self.path) as stream:
                for _ in range(self.lines_before):
                    stream.readline()
                rows = io.BytesIO(guide + stream.read().removeprefix(b"\xef\xbb\xbf"))
            frame: pd.DataFrame = pd.read_csv(rows, **options)
        except pd.errors.ParserError as error:
            what = " ".join(str(error).split()).rstrip(".")
            raise DataError(f"{self.path}: not a readable table ({what}).") from None
        except READ_ERRORS as error:
            raise DataError(f"{self.path}: cannot be read ({error}).") from None
        return frame.iloc[1:].reset_index(drop=True)

    def _to_numbers(
        self, cells: pd.Series[str], column: str, missing: Sequence[str]
    ) -> npt.NDArray[np.float64]:
        absent = {"", *missing}
        numbers = np.full(len(cells), np.nan)
        for row, cell in enumerate(map(str, cells.fillna(""))):
            text = cell.strip()
            if text in absent:
                continue
            where = f"{self.path}, line {self.line(row)}, column {column!r}"
            if text.lower() in _NAN_TOKENS:
                raise DataError(
                    f"{where}: got {text!r}; expected a number, or an empty cell where nothing was measured."
                )
            try:
                numbers[row] = float(text)
            except ValueError:
                raise DataError(f"{where}: expected a number, got {text!r}.") from None
            if not math.isfinite(numbers[row]):
                raise DataError(f"{where}: the value is infinite; expected a finite number.")
        return numbers

    def _check_finite(self, values: npt.NDArray[np.float64], column: str) -> None:
        rows = np.flatnonzero(np.isinf(values))
        if len(rows):
            raise DataError(
                f"{self.path}, line {self.line(int(rows[0]))}, column {column!r}: the value is infinite; "
                "expected a finite number."
            )


def open_table(
    path: str | Path,
    what: str,
    header_names: Sequence[Sequence[str]] = (),
    *,
    has_header: bool = True,
    separator: str | None = None,
) -> Table:
    """Find the separator and the header of a table; plain text, gzip or a zip of one file.

    Lines before the header (a title, comments) are skipped where ``header_names`` tells the header.

    Args:
        path: the file.
        what: what the file is, for messages.
        header_names: per required column, the names it may go by.
        has_header: False names the columns ``"1"``, ``"2"``, ...
        separator: the separator; by default a tab, semicolon, comma or space, found from the header.

    Raises:
        DataError: the file is missing, empty, or a spreadsheet.
    """
    path = check_file(path, what)
    with open_bytes(path) as stream:
        try:
            raw = [line for _, line in zip(range(_HEADER_SEARCH_LINES), stream, strict=False)]
        except READ_ERRORS as error:
            raise DataError(f"{path}: cannot be read ({error}).") from None
    lines = [line.decode("utf-8-sig", errors="replace").rstrip("\r\n") for line in raw]
    candidates = [(i, line) for i, line in enumerate(lines) if line.strip() and not line.startswith("!")]
    if not candidates:
        raise DataError(f"{path}: the file is empty; expected {what}.")
    tables = []
    for i, line in candidates:
        sep = separator or next((s for s in "\t;," if s in line), " ")
        fields = [field.strip().strip('"').lstrip("#").strip() for field in line.split(sep)]
        if not has_header:
            names = tuple(str(position + 1) for position in range(len(fields)))
            return Table(path, names, sep, i)
        tables.append(Table(path, tuple(fields), sep, i + 1))
    complete = (t for t in tables if all(t.find(*accepted) for accepted in header_names))
    return next(complete, tables[0])


def _empty(cells: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return which cells of a categorical column hold nothing; a cell that a short row lacks is missing."""
    codes = cells.cat.codes.to_numpy()
    nothing = np.array([str(text).strip() == "" for text in cells.cat.categories] + [True])
    return nothing[codes]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
