"""Lists of genes: a name per line, or a table with a column of genes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gisearch.data.sources.dialect import first_record, read_content, separators_of
from gisearch.data.sources.files import check_file
from gisearch.data.sources.gene_columns import FIRST_GENE
from gisearch.data.sources.named_edges import gene_in_cell
from gisearch.data.sources.tables import Table, plain_column
from gisearch.errors import DataError


def listed_genes(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the names in a list of genes with their lines; ``#`` begins a comment, an empty line is skipped.

    Raises:
        DataError: the file is missing, or no text in UTF-8.
    """
    path = check_file(path, "a list of genes")
    content = read_content(path)
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {place}: is no text in UTF-8; save the list as such.") from None
    start = next((i for i, line in enumerate(lines) if line.partition("#")[0].strip()), len(lines))
    table = _table(path, lines, start) if start < len(lines) else None
    if table is not None:
        place = table.columns.index(table.require(*FIRST_GENE))
        for number, cells in table.rows():
            if place < len(cells) and (name := gene_in_cell(cells[place])):
                yield number, name
        return
    for number, line in enumerate(lines[start:], start=start + 1):
        if name := gene_in_cell(line.partition("#")[0]):
            yield number, name


def _table(path: Path, lines: list[str], start: int) -> Table | None:
    """Return the table whose header is the line ``start``; None where that is no header."""
    genes = {plain_column(name) for name in FIRST_GENE}
    for separator in separators_of(lines[start:]):
        record = first_record(lines[start:], separator)
        columns = tuple(field.strip() for field in record.fields)
        if any(plain_column(column) in genes for column in columns):
            return Table(path, columns, separator, start + record.lines)
    return None
