"""Delimited text tables: which separator, where the header is, and what is wrong on which line.

Every reader of a table goes through :func:`open_table`, for training as for prediction, so that a missing
file, a missing column or a value that is no number is reported in the same words everywhere.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.data.sources.cells import FREQUENT_MISSING, is_missing, plain_cell
from gisearch.data.sources.dialect import first_record, has_quotes, read_content, records, separators_of
from gisearch.data.sources.files import check_file, listing
from gisearch.errors import DataError, nearest_name

if TYPE_CHECKING:
    import pandas as pd

_HEADER_SEARCH_LINES = 30
# What stands in rows and never in a header: a number, or a gene by its systematic name.
_DATA_CELL = re.compile(r"(\d+\.)?Y[A-P][LR]\d{3}[WC]([-_][A-Z])?|[-+]?\d*\.\d+(e[-+]?\d+)?", re.IGNORECASE)


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
        """Return the line of the file on which ``row`` begins (rows from 0, lines from 1).

        A row is what the index of :meth:`read` gives: where a quoted cell holds line breaks, those count.
        """
        return self.lines_before + 1 + row

    def find(self, *accepted: str) -> str | None:
        """Return the column that goes by one of the accepted names, the first accepted name first.

        Raises:
            DataError: two columns go by that name.
        """
        for name in accepted:
            found = [column for column in self.columns if plain_column(column) == plain_column(name)]
            exact = [column for column in found if column == name] or found
            if len(exact) > 1:
                raise DataError(
                    f"{self.path}: two columns are called {' and '.join(map(repr, exact[:2]))}; "
                    "rename or remove one."
                )
            if exact:
                return exact[0]
        return None

    def require(self, *accepted: str) -> str:
        """Return the column that goes by one of the accepted names.

        Raises:
            DataError: there is none, or there are two; the message gives the file, the expected and the
                found columns.
        """
        column = self.find(*accepted)
        if column is None:
            expected = " or ".join(repr(name) for name in accepted[:3])
            raise DataError(
                f"{self.path}: no column {expected}; found the columns {listing(self.columns)}."
                f"{nearest_name(accepted[0], self.columns)}"
            )
        return column

    def check_header(self) -> None:
        """Check that the header is not the first row of a file without one.

        Raises:
            DataError: a column's name is a number or a gene's systematic name.
        """
        data = [column for column in self.columns if _DATA_CELL.fullmatch(column)]
        if data:
            raise DataError(
                f"{self.path}, line {self.lines_before}: {data[0]!r} looks like data, not like a column's "
                "name; set header: false for a file without a header (its columns are then '1', '2', ...)."
            )

    def read(self, names: Sequence[str], numbers: Sequence[str] = ()) -> pd.DataFrame:
        """Read some columns.

        Args:
            names: columns of text, returned as categories; an empty cell is an empty string.
            numbers: columns of numbers, returned as float64; a missing value, however spelt, is NaN.

        Returns:
            One row per record after the header, blank lines left out; the index is the row for
            :meth:`line`.

        Raises:
            DataError: a row has too many fields; a number is not one, or is not finite; a column occurs
                twice; the file is no text in UTF-8.
        """
        for name in (*names, *numbers):
            if self.columns.count(name) > 1:
                raise DataError(f"{self.path}: two columns are called {name!r}; rename or remove one.")
        position = {column: i for i, column in enumerate(self.columns)}
        texts = {position[name] for name in names}
        values = {position[name] for name in numbers} - texts
        overflow = len(self.columns)
        dtype: dict[int, Any] = dict.fromkeys(texts | {overflow}, "category")
        content = self._content()
        quotes = has_quotes(content, self.separator, str(self.path), self.lines_before)
        try:
            frame = self._parse(content, quotes, dtype | dict.fromkeys(values, np.float64), values)
        except (ValueError, OverflowError):
            # Some cell is no plain number: read the same cells as text to say what and where.
            frame = self._parse(content, quotes, dtype | dict.fromkeys(values, "category"), set())
            for column in values:
                frame[column] = self._to_numbers(frame[column], self.columns[column])
        for number in values:
            self._check_finite(frame[number], self.columns[number])
        extra = np.flatnonzero(~_empty(frame[overflow]))
        if len(extra):
            raise DataError(
                f"{self.path}, line {self.line(int(frame.index[extra[0]]))}: more fields than the {overflow} "
                f"columns {listing(self.columns)}."
            )
        frame = frame.drop(columns=overflow)
        blank = np.ones(len(frame), dtype=bool)
        for number in values:
            blank &= frame[number].isna().to_numpy()
        for text in texts:
            blank &= _empty(frame[text])
        return frame[~blank].rename(columns=dict(enumerate(self.columns)))

    def rows(self, *, lenient: bool = False) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield every row as text, with the line of the file on which it begins; blank lines are left out.

        Args:
            lenient: read bytes that are no UTF-8 as a sign that stands for such, as :meth:`read` does.

        Raises:
            DataError: the file cannot be read, or is no text in UTF-8; the message gives the line.
        """
        content = self._content()
        quotes = has_quotes(content, self.separator, str(self.path), self.lines_before)
        try:
            text = content.decode("utf-8", "replace" if lenient else "strict")
        except UnicodeDecodeError as error:
            line = self.line(content.count(b"\n", 0, error.start))
            raise DataError(
                f"{self.path}, line {line}: is no text in UTF-8; save the table as such."
            ) from None
        for row, cells in records(text, self.separator, quotes):
            alone = len(cells) <= 1 or self.separator == " "
            if not alone or any(cell.strip() for cell in cells):
                yield self.line(row), tuple(cells)

    def _content(self) -> bytes:
        """Return all that follows the header."""
        content, start = read_content(self.path), 0
        for _ in range(self.lines_before):
            start = content.find(b"\n", start) + 1 or len(content)
        return content[start:]

    def _parse(
        self, content: bytes, quotes: bool, dtype: Mapping[int, Any], numbers: set[int]
    ) -> pd.DataFrame:
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
            "na_values": dict.fromkeys(numbers, FREQUENT_MISSING),
            "encoding": "utf-8",
            "encoding_errors": "replace",
            "low_memory": False,
            "quoting": 0 if quotes else 3,
        }
        # An empty row of one field too many makes pandas keep the overflow column that `read` checks.
        guide = self.separator.encode() * len(self.columns) + b"\n"
        try:
            frame: pd.DataFrame = pd.read_csv(io.BytesIO(guide + content), **options)
        except pd.errors.ParserError as error:
            what = " ".join(str(error).split()).rstrip(".")
            raise DataError(f"{self.path}: not a readable table ({what}).") from None
        frame = frame.iloc[1:].reset_index(drop=True)
        # Line breaks within quoted cells make more lines than rows.
        if quotes and len(frame) < content.count(b"\n") + (not content.endswith(b"\n")):
            text = content.decode("utf-8", errors="replace")
            frame.index = pd.Index([row for row, _ in records(text, self.separator, quotes)])
        return frame

    def _to_numbers(self, cells: pd.Series[Any], column: str) -> npt.NDArray[np.float64]:
        """Return a column of categories as numbers, NaN where missing."""
        values = np.full(len(cells.cat.categories) + 1, np.nan)
        codes, wrong = cells.cat.codes.to_numpy(), []
        for i, cell in enumerate(map(str, cells.cat.categories)):
            if is_missing(text := plain_cell(cell)):
                continue
            try:
                values[i] = float(text)
            except ValueError:
                wrong.append(i)
                continue
            if not math.isfinite(values[i]):
                values[i] = np.inf
        if wrong:
            row = int(np.flatnonzero(np.isin(codes, wrong))[0])
            raise DataError(
                f"{self.path}, line {self.line(int(cells.index[row]))}, column {column!r}: expected a "
                f"number, got {plain_cell(str(cells.iloc[row]))!r}."
            )
        return values[codes]

    def _check_finite(self, values: pd.Series[Any], column: str) -> None:
        rows = np.flatnonzero(np.isinf(values.to_numpy()))
        if len(rows):
            raise DataError(
                f"{self.path}, line {self.line(int(values.index[rows[0]]))}, column {column!r}: the value is "
                "infinite; expected a finite number."
            )


def open_table(
    path: str | Path,
    what: str,
    header_names: Sequence[Sequence[str]] = (),
    *,
    has_header: bool = True,
    separator: str | None = None,
) -> Table:
    """Find the separator and the header of a table; plain text or compressed.

    Lines before the header (a title, comments) are skipped where ``header_names`` tells the header.

    Args:
        path: the file.
        what: what the file is, for messages.
        header_names: per required column, the names it may go by.
        has_header: False names the columns ``"1"``, ``"2"``, ...
        separator: the separator; by default a tab, semicolon, comma or space, found from the header.

    Raises:
        DataError: the file is missing, empty, a spreadsheet, or no text in UTF-8.
    """
    path = check_file(path, what)
    head = read_content(path, _HEADER_SEARCH_LINES).decode("utf-8", errors="replace")
    lines = [line.rstrip("\r") for line in head.split("\n")]
    candidates = [i for i, line in enumerate(lines) if line.strip() and not line.startswith("!")]
    if not has_header:
        candidates = [i for i in candidates if not lines[i].startswith("#")]
    if not candidates:
        raise DataError(f"{path}: the file is empty; expected {what}.")
    tables = []
    for i in candidates:
        for sep in [separator] if separator else separators_of(lines[i:]):
            record = first_record(lines[i:], sep)
            fields = tuple(plain_cell(field).lstrip("#").strip() for field in record.fields)
            if not has_header:
                return Table(path, tuple(str(place + 1) for place in range(len(fields))), sep, i)
            tables.append(Table(path, fields, sep, i + record.lines))
    return next((table for table in tables if _has_all(table.columns, header_names)), tables[0])


def _has_all(columns: Sequence[str], header_names: Sequence[Sequence[str]]) -> bool:
    """Return whether every required column is there, each another one."""
    plain = [plain_column(column) for column in columns]
    places = [
        [i for i, column in enumerate(plain) if column in set(map(plain_column, accepted))]
        for accepted in header_names
    ]
    return any(len(set(choice)) == len(choice) for choice in itertools.product(*places))


def _empty(cells: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return which cells of a categorical column hold nothing; a cell that a short row lacks is missing."""
    codes = cells.cat.codes.to_numpy()
    nothing = np.array([str(text).strip() == "" for text in cells.cat.categories] + [True])
    return nothing[codes]


def plain_column(name: str) -> str:
    """Return a column's name without case, spaces, punctuation and invisible characters."""
    return re.sub(r"[\W_]+", "", name.lower()) or name.strip().lower()
