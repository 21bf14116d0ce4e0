"""Kuzmin et al., "Systematic analysis of complex genetic interactions", Science 2018, 360:eaao1729, Data S1.

One row per query strain (two deletions) and array strain (one). A query strain ID reads
``YAL015C+YDL227C_tm461``, an array strain ID ``YBL007C_dma91``. YDL227C is *ho*, a neutral locus: deleting it
changes nothing, so a row whose query holds it is a double mutant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.sources.named_edges import encode
from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.tables import open_table
from gisearch.errors import DataError

NEUTRAL_LOCUS = "YDL227C"

_QUERY = ("Query strain ID",)
_ARRAY = ("Array strain ID",)
_TYPE = ("Combined mutant type",)
_LABELS = {
    "gene_interaction": (
        "Adjusted genetic interaction score (epsilon or tau)",
        "Adjusted genetic interaction score",
    ),
    "gene_interaction_p": ("P-value", "p value"),
    "fitness": ("Combined mutant fitness", "Double/triple mutant fitness"),
    "fitness_std": (
        "Combined mutant fitness standard deviation",
        "Double/triple mutant fitness standard deviation",
    ),
}
# Only the score must be there; other releases leave out some of the rest.
_REQUIRED = "gene_interaction"


def read_kuzmin2018(
    path: str | Path,
    *,
    duplicates: Literal["error", "mean"] = "mean",
    what: str = "Data S1 of Kuzmin et al. 2018",
) -> NamedGenotypes:
    """Read double and triple mutants with their scores.

    Labels: ``gene_interaction`` is the adjusted score (epsilon for double, tau for triple mutants),
    ``gene_interaction_p`` its p-value, ``fitness`` the combined mutant's fitness (wild type = 1),
    ``fitness_std`` its standard deviation.

    Args:
        path: ``aao1729_data_s1.tsv``, gzip or not.
        duplicates: a gene set is measured more than once where alleles or the roles of query and array
            differ; ``mean`` averages, ``error`` refuses.
        what: what the file is, for messages.

    Raises:
        DataError: missing file or column, a strain ID without a gene, a score that is no number.
    """
    table = open_table(path, what, (_QUERY, _ARRAY, _LABELS[_REQUIRED]))
    query, array = table.require(*_QUERY), table.require(*_ARRAY)
    kind = table.find(*_TYPE)
    columns = {name: table.find(*accepted) for name, accepted in _LABELS.items()}
    table.require(*_LABELS[_REQUIRED])
    labels = {name: column for name, column in columns.items() if column}
    frame = table.read([query, array, *([kind] if kind else [])], list(labels.values()))
    lines = np.array([table.line(row) for row in frame.index.tolist()], dtype=np.int64)
    strains, codes = encode(frame[query], frame[array])
    if (codes < 0).any():
        line = lines[np.flatnonzero((codes < 0).any(axis=1))[0]]
        raise DataError(f"{table.path}, line {line}: expected a query and an array strain ID, got nothing.")
    vocabulary, genes_of_strain = _genes_of_strains(strains)
    genes = np.concatenate([genes_of_strain[codes[:, 0]], genes_of_strain[codes[:, 1]]], axis=1)
    genes = -np.sort(-genes, axis=1)
    if (genes[:, 0] < 0).any() or (genes[:, 3:] >= 0).any():
        row = int(np.flatnonzero((genes[:, 0] < 0) | (genes[:, 3:] >= 0).any(axis=1))[0])
        raise DataError(
            f"{table.path}, line {lines[row]}: expected strain IDs that name 1 to 3 genes, got "
            f"{strains[codes[row, 0]]!r} and {strains[codes[row, 1]]!r}."
        )
    genes = genes[:, :3]
    size = (genes >= 0).sum(axis=1)
    reasons = {"the query holds the array's gene": _repeats(genes)}
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
