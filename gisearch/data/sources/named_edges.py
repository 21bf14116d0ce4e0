"""Edges as a file names them, before the names are resolved to genes.

Shapes: n rows of the file, V distinct names in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import Network
from gisearch.data.dataset import LeftOut
from gisearch.data.gene_names import GeneNames, canonical_name, shown
from gisearch.data.sources.cells import is_missing, plain_cell
from gisearch.data.sources.tables import Table
from gisearch.data.unknown_names import hint
from gisearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class NamedEdges:
    """One network as its file gives it.

    Attributes:
        name: the network's name.
        path: the file.
        vocabulary: the distinct gene names of the file, V of them.
        pairs: int64 [n, 2], source and target as positions in ``vocabulary``.
        scores: float32 [n] in (0, 1], or None.
        directed: whether source and target may not be swapped.
        notes: what the reader left out, and why.
    """

    name: str
    path: Path
    vocabulary: tuple[str, ...]
    pairs: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None
    directed: bool = False
    notes: tuple[str, ...] = ()

    def resolve(self, names: GeneNames) -> ResolvedNetwork:
        """Turn names into gene indices; rows with an unknown name are left out and counted."""
        index, unresolved = resolve_codes(self.vocabulary, self.pairs, names)
        edges = index[self.pairs]
        known: npt.NDArray[np.bool_] = np.logical_and(edges[:, 0] >= 0, edges[:, 1] >= 0)
        network = Network.from_pairs(
            self.name,
            edges[known].T,
            None if self.scores is None else self.scores[known],
            directed=self.directed,
            num_genes=len(names),
        )
        loops = int((edges[known, 0] == edges[known, 1]).sum())
        kept = (int(known.sum()) - loops) * (1 if self.directed else 2)
        removed = {
            "with unknown genes left out": int(len(known) - known.sum()),
            "self-loops left out": loops,
            "repeated edges merged": kept - network.num_edges,
        }
        kind = "directed" if self.directed else "undirected, so in both directions"
        parts = [
            f"network {self.name}: {len(known):,} rows of {self.path.name}",
            *(f"{count:,} {what}" for what, count in removed.items() if count),
            f"{network.num_edges:,} edges ({kind})",
        ]
        source = f"network {self.name}"
        lost = left_out(source, "rows", removed["with unknown genes left out"], len(known), unresolved, names)
        return ResolvedNetwork(network, unresolved, "; ".join(parts), lost)


@dataclass(frozen=True)
class ResolvedNetwork:
    """A network of gene indices and what resolving its names left out.

    Attributes:
        network: the network.
        unresolved: how often each unknown name occurred.
        summary: one line for the load report.
        left_out: how much was left out, or None.
    """

    network: Network
    unresolved: Counter[str]
    summary: str
    left_out: LeftOut | None = None


def encode(*columns: pd.Series[Any]) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the distinct names of some categorical columns, and int64 [n, columns] positions in them.

    A cell that says that there is nothing (empty, ``NA``, ``None``, ``-``) is -1.
    """
    position: dict[str, int] = {"": -1}
    codes = []
    for column in columns:
        own = [gene_in_cell(str(cell)) for cell in column.cat.categories]
        for name in own:
            position.setdefault(name, len(position) - 1)
        lookup = np.array([*(position[name] for name in own), -1], dtype=np.int64)
        codes.append(lookup[column.cat.codes.to_numpy()])
    return tuple(list(position)[1:]), np.stack(codes, axis=1)


def gene_in_cell(cell: str) -> str:
    """Return the gene's name in a cell of a table, empty where the cell says that there is none."""
    name = canonical_name(plain_cell(cell))
    return "" if is_missing(name) else name


def resolve_codes(
    vocabulary: Sequence[str], codes: npt.NDArray[np.int64], names: GeneNames
) -> tuple[npt.NDArray[np.int64], Counter[str]]:
    """Resolve each distinct name once.

    Returns:
        int64 [V + 1], the gene index per name, -1 where unknown and for the code -1; and how often each
        unknown name occurs in ``codes``.
    """
    resolution = names.resolve(vocabulary)
    uses = np.bincount(codes[codes >= 0].ravel(), minlength=len(vocabulary))
    unresolved: Counter[str] = Counter()
    for i in np.flatnonzero(resolution.indices < 0).tolist():
        if uses[i]:
            unresolved[vocabulary[i].upper()] += int(uses[i])
    return np.append(resolution.indices, -1), unresolved


def left_out(
    source: str, unit: str, count: int, total: int, unresolved: Mapping[str, int], names: GeneNames
) -> LeftOut | None:
    """Return how much of a source was left out; None where nothing was."""
    if not count:
        return None
    return LeftOut(source, unit, count, total, tuple(unresolved)[:3], hint(unresolved, names.knows))


def check_named(
    pairs: npt.NDArray[np.int64], table: Table, frame: pd.DataFrame, columns: Sequence[str]
) -> None:
    """Check that every row names both genes.

    Raises:
        DataError: a cell is empty; the message gives line and column.
    """
    rows, sides = np.nonzero(pairs < 0)
    if len(rows):
        line, column = table.line(int(frame.index[rows[0]])), columns[sides[0]]
        cell = frame[column].iloc[rows[0]]
        got = "nothing" if cell != cell or not str(cell).strip() else shown(str(cell))
        raise DataError(f"{table.path}, line {line}, column {column!r}: expected a gene name, got {got}.")
