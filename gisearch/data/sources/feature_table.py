"""Gene features from delimited text, NPZ and Parquet: one row a gene.

Text goes through :func:`open_table`. Nothing in an NPZ file is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.sources.files import check_file, listing
from gisearch.data.sources.named_features import NamedFeatures
from gisearch.data.sources.tables import Table, open_table
from gisearch.errors import DataError, nearest_name

if TYPE_CHECKING:
    import pandas as pd

_GENES = ("gene", "genes", "systematic_name", "gene_name", "orf", "locus_tag", "name", "names", "gene1")
_VALUES = ("values", "features", "embeddings", "x")
_BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


def format_of(path: str) -> Literal["table", "npz", "parquet"]:
    """Return the format that a file's name tells; text where it ends with neither npz nor parquet."""
    name = path.lower()
    if name.endswith(".npz"):
        return "npz"
    return "parquet" if name.endswith((".parquet", ".pq")) else "table"


def read_feature_table(
    path: str | Path, name: str, *, gene_column: str | None = None, columns: Sequence[str] | None = None
) -> NamedFeatures:
    """Read features from a TSV or CSV table, gzip or not.

    Args:
        path: the file. An empty cell is a number that is not known.
        name: what to call the table.
        gene_column: the column of gene names; by default ``gene``, ``systematic_name`` and the like, or the
            first one.
        columns: the columns of numbers; by default all that hold any number.

    Raises:
        DataError: a missing file or column, a column that occurs twice, text in a number's place, or no
            column of numbers.
    """
    wanted = [gene_column] if gene_column else list(_GENES)
    table = open_table(path, "a table of gene features, one row a gene", [wanted])
    gene = table.require(gene_column) if gene_column else table.find(*_GENES) or table.columns[0]
    if columns:
        numbers = [table.require(column) for column in columns]
    else:
        numbers = [column for column in table.columns if column != gene]
    repeated = next((c for c in numbers if table.columns.count(c) > 1), None)
    if repeated is not None:
        raise DataError(f"{table.path}: two columns are called {repeated!r}; rename one.")
    unused: list[str] = []
    try:
        frame = table.read([gene], numbers)
    except DataError:
        if columns:
            raise
        # Perhaps some columns are descriptions: those that hold no number at all are left out.
        unused = _descriptions(table, gene, numbers)
        if not unused:
            raise
        numbers = [column for column in numbers if column not in unused]
        frame = table.read([gene], numbers) if numbers else table.read([gene])
    if not columns:
        empty = [column for column in numbers if frame[column].isna().all()]
        numbers, unused = [column for column in numbers if column not in empty], [*unused, *empty]
    if not numbers:
        raise DataError(
            f"{table.path}: no column of numbers beside {gene!r}; found the columns {listing(table.columns)}."
        )
    genes = [str(cell).strip() for cell in frame[gene].astype(object).fillna("")]
    lines = np.array([table.line(row) for row in frame.index.tolist()], dtype=np.int64)
    if "" in genes:
        line = lines[genes.index("")]
        raise DataError(f"{table.path}, line {line}, column {gene!r}: expected a gene name, got nothing.")
    note = f"{table.path.name}: columns without numbers not used: {', '.join(unused)}"
    return NamedFeatures(
        name=name,
        path=table.path,
        genes=genes,
        values=frame[numbers].to_numpy(dtype=np.float64),
        places=lines,
        notes=(note,) if unused else (),
    )


def read_feature_npz(
    path: str | Path, name: str, *, gene_column: str | None = None, columns: Sequence[str] | None = None
) -> NamedFeatures:
    """Read features from an NPZ file: an array of names [n] and arrays of numbers, [n] or [n, F].

    Args:
        path: the file. NaN is a number that is not known.
        name: what to call the table.
        gene_column: the array of names; ``genes`` or ``names`` by default.
        columns: the arrays of numbers, put side by side; ``values`` by default.

    Raises:
        DataError: the file is missing or unreadable, lacks an array, holds Python objects, or the arrays
            do not fit together.
    """
    file = check_file(path, "an NPZ file with the arrays 'genes' and 'values'")
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except _BROKEN as error:
        if str(error).startswith("Object arrays"):
            raise DataError(
                f"{file}: an array holds Python objects, which are not read; save gene names as text "
                "(numpy.array(names, dtype=str)) and values as numbers."
            ) from None
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file}: not a readable NPZ file ({what}).") from None
    genes = arrays[_choose(file, "array", list(arrays), [gene_column] if gene_column else _GENES)]
    wanted = [[column] for column in columns] if columns else [_VALUES]
    chosen = {key: arrays[key] for key in (_choose(file, "array", list(arrays), one) for one in wanted)}
    if genes.ndim != 1 or genes.dtype.kind not in "US":
        raise DataError(
            f"{file}: gene names must be text of shape [n], got {genes.dtype} {list(genes.shape)}."
        )
    parts = []
    for key, array in chosen.items():
        if array.dtype.kind not in "fiub" or array.shape[:1] != genes.shape or array.ndim > 2:
            raise DataError(
                f"{file}: the array {key!r} must be numbers of shape [{len(genes)}] or [{len(genes)}, F], "
                f"got {array.dtype} {list(array.shape)}."
            )
        parts.append(array.reshape(len(genes), -1).astype(np.float64))
    names = genes.astype(str) if genes.dtype.kind == "U" else np.char.decode(genes, "utf-8", "replace")
    return _of_rows(name, file, names.tolist(), np.concatenate(parts, axis=1))


def read_feature_parquet(
    path: str | Path, name: str, *, gene_column: str | None = None, columns: Sequence[str] | None = None
) -> NamedFeatures:
    """Read features from a Parquet file; names are a column, or the index that pandas stored.

    Args:
        path: the file. A null is a number that is not known.
        name: what to call the table.
        gene_column: the column of names; by default as in a text table.
        columns: the columns of numbers; by default all that are of a numeric type.

    Raises:
        DataError: the file is missing or unreadable, lacks a column, or has no column of numbers.
    """
    import pandas as pd

    file = check_file(path, "a Parquet file of gene features, one row a gene")
    try:
        frame = pd.read_parquet(file)
    # Arrow's errors are of these kinds.
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        what = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{file}: not a readable Parquet file ({what}).") from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(names=[frame.index.name or "gene"])
    frame.columns = [str(column) for column in frame.columns]
    return _of_frame(name, file, frame, gene_column, columns)


def _of_frame(
    name: str, file: Path, frame: pd.DataFrame, gene_column: str | None, columns: Sequence[str] | None
) -> NamedFeatures:
    from pandas.api.types import is_numeric_dtype

    there = list(frame.columns)
    known = [c for c in there if c.lower() in _GENES]
    gene = _choose(file, "column", there, [gene_column] if gene_column else [*known, *there])
    others = [column for column in there if column != gene]
    numbers = [column for column in others if is_numeric_dtype(frame[column])]
    unused = [column for column in others if column not in numbers]
    if columns:
        asked = [_choose(file, "column", there, [column]) for column in columns]
        text = next((column for column in asked if column not in numbers), None)
        if text is not None:
            raise DataError(f"{file}, column {text!r}: expected numbers, got {frame[text].dtype}.")
        numbers, unused = asked, []
    if not numbers:
        raise DataError(f"{file}: no column of numbers beside {gene!r}; found the columns {listing(there)}.")
    note = f"{file.name}: columns without numbers not used: {', '.join(unused)}"
    values = frame[numbers].to_numpy(dtype=np.float64, na_value=np.nan)
    genes = frame[gene].astype(object).where(frame[gene].notna(), "").map(str).tolist()
    return _of_rows(name, file, genes, values, (note,) if unused else ())


def _of_rows(
    name: str, file: Path, genes: list[str], values: npt.NDArray[np.float64], notes: tuple[str, ...] = ()
) -> NamedFeatures:
    """Check what text tables are checked for cell by cell; rows are counted from 1."""
    infinite = np.flatnonzero(np.isinf(values).any(axis=1))
    if len(infinite):
        raise DataError(
            f"{file}, row {infinite[0] + 1}: the value is infinite; expected a finite number, or NaN."
        )
    nameless = next((i for i, gene in enumerate(genes) if not gene.strip()), None)
    if nameless is not None:
        raise DataError(f"{file}, row {nameless + 1}: expected a gene name, got nothing.")
    places = np.arange(1, len(genes) + 1, dtype=np.int64)
    return NamedFeatures(name, file, genes, values, places, "row", notes)


def _choose(file: Path, what: str, there: Sequence[str], accepted: Sequence[str]) -> str:
    for wanted in accepted:
        if wanted in there:
            return wanted
    raise DataError(
        f"{file}: no {what} {' or '.join(repr(a) for a in accepted[:3])}; found {listing(there) or 'none'}."
        f"{nearest_name(accepted[0], there)}"
    )


def _descriptions(table: Table, gene: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that hold text and not a single number."""
    frame = table.read([gene, *columns])

    def is_text(column: str) -> bool:
        cells: Any = frame[column].cat.categories
        filled = [text for text in (str(cell).strip() for cell in cells) if text]
        return bool(filled) and not any(_is_number(text) for text in filled)

    return [column for column in columns if is_text(column)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
