"""Gene features as a file names their genes, before the names are resolved.

Shapes: n rows of the file, F features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.errors import DataError


@dataclass(frozen=True)
class NamedFeatures:
    """One table of gene features as its file gives it.

    Attributes:
        name: the table's name.
        path: the file.
        genes: the gene that every row is about, n names.
        values: float64 [n, F], NaN where a cell is empty.
        places: int64 [n], the line or row of the file that each row stands on.
        unit: what ``places`` count.
        notes: what the reader left out, and why.
    """

    name: str
    path: Path
    genes: Sequence[str]
    values: npt.NDArray[np.float64]
    places: npt.NDArray[np.int64]
    unit: Literal["line", "row"] = "line"
    notes: tuple[str, ...] = ()

    def resolve(self, names: GeneNames, *, standardise: bool) -> ResolvedFeatures:
        """Turn names into gene indices; rows with an unknown name are left out and counted.

        An empty cell takes the mean of its column over the known genes.

        Raises:
            DataError: no name is known, two rows are about one gene, or a column has no number for any
                known gene.
        """
        resolution = names.resolve(self.genes)
        rows = np.flatnonzero(resolution.indices >= 0)
        if not len(rows):
            found = ", ".join(repr(str(gene)) for gene in self.genes[:3]) or "no row at all"
            raise DataError(
                f"{self.path}: no row of the gene features {self.name!r} is about a gene of this data; "
                f"expected names such as {names.systematic[0]!r}, found {found}."
            )
        genes = resolution.indices[rows]
        self._check_once(names, rows, genes)
        table, empty = self._filled(rows)
        values = np.zeros((len(names), table.shape[1]))
        values[genes] = table
        known = np.zeros(len(names), dtype=bool)
        known[genes] = True
        build = GeneFeatures.standardised if standardise else GeneFeatures
        left_out = len(self.genes) - len(rows)
        parts = [
            f"features {self.name}: {len(self.genes):,} rows of {self.path.name}",
            *([f"{left_out:,} with unknown genes left out"] if left_out else []),
            *([f"{empty:,} empty cells, each the mean of its column"] if empty else []),
        ]
        return ResolvedFeatures(
            build(self.name, values.astype(np.float64), known), resolution.unresolved, "; ".join(parts)
        )

    def _check_once(
        self, names: GeneNames, rows: npt.NDArray[np.int64], genes: npt.NDArray[np.int64]
    ) -> None:
        order = np.argsort(genes, kind="stable")
        twice = np.flatnonzero(genes[order][1:] == genes[order][:-1])
        if len(twice):
            first, second = (int(rows[order[twice[0] + i]]) for i in (0, 1))
            spelt = list(dict.fromkeys(str(self.genes[row]).strip() for row in (first, second)))
            raise DataError(
                f"{self.path}, {self.unit}s {self.places[first]} and {self.places[second]}: two rows for the "
                f"gene {names.systematic[genes[order[twice[0]]]]} ({' and '.join(spelt)}); expected one."
            )

    def _filled(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], int]:
        """Return the known rows without empty cells, and how many there were."""
        table = self.values[rows]
        missing = np.isnan(table)
        nothing = np.flatnonzero(missing.all(axis=0))
        if len(nothing):
            raise DataError(
                f"{self.path}: number column {nothing[0] + 1} of the gene features {self.name!r} is empty "
                "for every known gene; expected numbers, or leave it out with 'columns'."
            )
        mean = np.where(missing, 0.0, table).sum(axis=0) / (~missing).sum(axis=0)
        return np.where(missing, mean, table), int(missing.sum())


@dataclass(frozen=True)
class ResolvedFeatures:
    """Features of gene indices and what resolving their names left out.

    Attributes:
        features: the table.
        unresolved: how often each unknown name occurred.
        summary: one line for the load report.
    """

    features: GeneFeatures
    unresolved: Counter[str]
    summary: str
