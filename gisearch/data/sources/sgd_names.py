"""Gene names: plain tables of systematic and standard names, and SGD's ``SGD_features.tab``.

``SGD_features.tab`` has no header; its columns are SGDID, feature type, qualifier, systematic name,
standard name, aliases separated by ``|``, and others (https://www.yeastgenome.org, Engel et al. 2022).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.cells import is_missing, plain_cell
from gisearch.data.sources.tables import Table, open_table
from gisearch.errors import DataError

# Some genes of every screen are not intact in the reference strain: FLO8 (YER109C), YCL074W.
_FEATURE_TYPES = frozenset({"ORF", "blocked_reading_frame", "pseudogene"})
_RETIRED = ("Deleted", "Merged")


def read_gene_names(path: str | Path, *, feature_types: Collection[str] = _FEATURE_TYPES) -> GeneNames:
    """Read the genes of an organism; the order of the file is the order of the genes.

    Args:
        path: a table with the column ``systematic_name`` and perhaps ``standard_name`` and ``aliases``
            (separated by ``|``), or ``SGD_features.tab``.
        feature_types: the SGD feature types that count as genes.

    Raises:
        DataError: missing file or column, no gene, a gene without or with a repeated systematic name.
    """
    what = "a table of gene names"
    table = open_table(path, what, (("systematic_name",),))
    if len(table.columns) >= 9 and table.columns[0].upper().startswith("S0"):
        return _read_features(open_table(path, what, has_header=False, separator="\t"), feature_types)
    systematic = table.require("systematic_name", "systematic name", "gene", "orf", "locus_tag", "gene_id")
    standard = table.find("standard_name", "standard name", "symbol", "gene_name", "name")
    aliases = table.find("aliases", "alias", "synonyms")
    columns = [column for column in (systematic, standard, aliases) if column]
    frame = table.read(columns)
    cells = {column: [_plain(cell) for cell in frame[column].astype(object)] for column in columns}
    return _gene_names(
        table,
        [table.line(int(row)) for row in frame.index],
        cells[systematic],
        cells[standard] if standard else [""] * len(frame),
        cells[aliases] if aliases else [""] * len(frame),
    )


def _read_features(table: Table, feature_types: Collection[str]) -> GeneNames:
    frame = table.read(["2", "3", "4", "5", "6"])
    retired = frame["3"].astype(str).str.contains("|".join(_RETIRED), regex=True)
    frame = frame[frame["2"].isin(feature_types) & ~retired]
    if frame.empty:
        raise DataError(f"{table.path}: no feature of type {', '.join(sorted(feature_types))}.")
    return _gene_names(
        table,
        [table.line(int(row)) for row in frame.index],
        *([_plain(cell) for cell in frame[column].astype(object)] for column in ("4", "5", "6")),
    )


def _plain(cell: object) -> str:
    """Return a cell's text, empty where it says that there is nothing."""
    text = plain_cell(str(cell))
    return "" if is_missing(text) else text


def _gene_names(
    table: Table, lines: list[int], systematic: list[str], standard: list[str], aliases: list[str]
) -> GeneNames:
    if not systematic:
        raise DataError(f"{table.path}: no gene; expected one row per gene.")
    seen: dict[str, int] = {}
    for line, name in zip(lines, systematic, strict=True):
        if not name:
            raise DataError(f"{table.path}, line {line}: expected a systematic name, got nothing.")
        first = seen.setdefault(name.upper(), line)
        if first != line:
            raise DataError(f"{table.path}, lines {first} and {line}: the gene {name!r} occurs twice.")
    owners: dict[str, list[str]] = {}
    for name, cell in zip(systematic, aliases, strict=True):
        for alias in filter(None, (part.strip() for part in cell.split("|"))):
            owners.setdefault(alias, []).append(name)
    return GeneNames(
        systematic=tuple(systematic),
        standard=tuple(
            "" if s.upper() == n.upper() else s for s, n in zip(standard, systematic, strict=True)
        ),
        aliases={alias: tuple(names) for alias, names in owners.items()},
    )
