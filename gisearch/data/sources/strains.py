"""Screens of query strains crossed to array strains, as synthetic genetic array analysis reports them.

A strain ID is the systematic names of its deleted genes, an underscore, and what tells strains of one gene
apart: ``YAL015C+YDL227C_tm461``, ``YBL007C_dma91``. YDL227C is *ho*, a neutral locus: deleting it changes
nothing, so a row with it has one deletion less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.sources.named_edges import encode
from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.tables import Table, open_table
from gisearch.errors import DataError

NEUTRAL_LOCUS = "YDL227C"

QUERY = ("Query strain ID",)
ARRAY = ("Array strain ID",)


@dataclass(frozen=True)
class StrainTable:
    """The layout of one release.

    Attributes:
        what: what the file is, for messages.
        labels: per label, the names that its column may go by; the first label must be there.
        strains: the same for the columns of strain IDs.
        order: the column that says whether a row is digenic or trigenic, where the release has one.
        has_header: whether there is one; else the columns are ``"1"``, ``"2"``, ....
    """

    what: str
    labels: Mapping[str, tuple[str, ...]]
    strains: tuple[tuple[str, ...], ...] = (QUERY, ARRAY)
    order: str | None = None
    has_header: bool = True


def read_strains(
    path: str | Path, layout: StrainTable, *, duplicates: Literal["error", "mean"] = "mean"
) -> NamedGenotypes:
    """Read mutants with one to three deletions; alleles of one gene are the gene.

    Args:
        path: the table, compressed or not.
        layout: what its columns are called.
        duplicates: a gene set is measured more than once where alleles, temperatures or the roles of query
            and array differ; ``mean`` averages, ``error`` refuses.

    Raises:
        DataError: missing file or column, a strain ID without a gene, a score that is no number.
    """
    required = next(iter(layout.labels.values()))
    table = open_table(path, layout.what, (*layout.strains, required), has_header=layout.has_header)
    crossed = [table.require(*accepted) for accepted in layout.strains]
    kind = table.find(layout.order) if layout.order else None
    columns = {name: table.find(*accepted) for name, accepted in layout.labels.items()}
    # Only the first label must be there; other releases leave out some of the rest.
    table.require(*required)
    labels = {name: column for name, column in columns.items() if column}
    frame = table.read([*crossed, *([kind] if kind else [])], list(labels.values()))
    lines = table.line(0) + frame.index.to_numpy(dtype=np.int64)
    strains, codes = encode(*(frame[column] for column in crossed))
    if (codes < 0).any():
        line = lines[np.flatnonzero((codes < 0).any(axis=1))[0]]
        what = "a query and an array strain ID" if len(crossed) == 2 else "a strain ID"
        raise DataError(f"{table.path}, line {line}: expected {what}, got nothing.")
    vocabulary, genes = _genes_of_rows(table, strains, codes, lines)
    size = (genes >= 0).sum(axis=1)
    reasons = {"the query holds the array's gene": _repeats(genes), "nothing but ho is deleted": size == 0}
    if kind:
        says = frame[kind].astype(str).str.strip().str.lower()
        expected = says.map({"digenic": 2, "trigenic": 3}).astype(float).to_numpy()
        reasons["strain IDs that contradict the combined mutant type"] = expected != size
    keep = np.ones(len(genes), dtype=bool)
    notes = []
    for reason, wrong in reasons.items():
        if (wrong & keep).any():
            notes.append(f"{table.path.name}: {int((wrong & keep).sum()):,} rows left out: {reason}")
        keep &= ~wrong
    return NamedGenotypes(
        path=table.path,
        vocabulary=vocabulary,
        codes=genes[keep],
        lines=lines[keep],
        labels={name: frame[column].to_numpy(dtype=np.float64)[keep] for name, column in labels.items()},
        duplicates=duplicates,
        notes=tuple(notes),
    )


def _genes_of_rows(
    table: Table, strains: tuple[str, ...], codes: npt.NDArray[np.int64], lines: npt.NDArray[np.int64]
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the genes that occur, and per row int64 [3] positions in them, descending, padded with -1.

    Raises:
        DataError: a row names no gene, not even the neutral locus, or more than three.
    """
    vocabulary, genes_of_strain = _genes_of_strains(strains)
    padding = np.full((len(codes), 1), -1)
    genes = np.concatenate([*(genes_of_strain[column] for column in codes.T), padding], axis=1)
    genes = -np.sort(-genes, axis=1)
    neutral = np.array([NEUTRAL_LOCUS in strain.upper() for strain in strains])[codes].any(axis=1)
    wrong = ((genes[:, 0] < 0) & ~neutral) | (genes[:, 3:] >= 0).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{table.path}, line {lines[row]}: expected strain IDs that name 1 to 3 genes, got "
            f"{' and '.join(repr(strains[code]) for code in codes[row])}."
        )
    return vocabulary, genes[:, :3]


def _genes_of_strains(strains: tuple[str, ...]) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the genes that occur, and per strain int64 [2 or more] positions in them, padded with -1."""
    position: dict[str, int] = {}
    names = [[name.strip().upper() for name in strain.split("_", 1)[0].split("+")] for strain in strains]
    genes = [[name for name in own if name and name != NEUTRAL_LOCUS] for own in names]
    table = np.full((len(strains), max([2, *map(len, genes)])), -1, dtype=np.int64)
    for i, own in enumerate(genes):
        for column, name in enumerate(own):
            table[i, column] = position.setdefault(name, len(position))
    return tuple(position), table


def _repeats(genes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which rows (sorted) hold a gene twice."""
    repeated: npt.NDArray[np.bool_] = ((genes[:, 1:] == genes[:, :-1]) & (genes[:, 1:] >= 0)).any(axis=1)
    return repeated
