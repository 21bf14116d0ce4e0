"""Numbers about every gene: one table, one row a gene.

Shapes: N genes, F features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gisearch.errors import DataError


@dataclass(frozen=True)
class GeneFeatures:
    """One named table of numbers over the genes of a cell graph.

    Attributes:
        name: the table's name, used in configurations.
        values: float32 [N, F], finite; the rows of genes that are not known are zeros.
        known: bool [N], whether the table has a row for the gene.

    Raises:
        DataError: the shapes do not agree, a number is not finite, there is no column, or the row of a gene
            that is not known holds something else than zeros.
    """

    name: str
    values: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values, dtype=np.float32)
        known = np.asarray(self.known, dtype=bool)
        if values.ndim != 2 or known.shape != values.shape[:1]:
            raise DataError(
                f"gene features {self.name!r}: expected values of shape [N, F] and known of shape [N], "
                f"got {list(values.shape)} and {list(known.shape)}."
            )
        if not values.shape[1]:
            raise DataError(f"gene features {self.name!r}: expected at least one column of numbers.")
        if not np.isfinite(values).all():
            raise DataError(f"gene features {self.name!r}: values must be finite numbers.")
        if values[~known].any():
            raise DataError(f"gene features {self.name!r}: the rows of unknown genes must be zeros.")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "known", known)

    @property
    def num_genes(self) -> int:
        """Number of genes N."""
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """Number of features F."""
        return int(self.values.shape[1])

    @classmethod
    def standardised(
        cls, name: str, values: npt.ArrayLike, known: npt.ArrayLike | None = None
    ) -> GeneFeatures:
        """Build a table whose columns have mean 0 and standard deviation 1 over the known genes.

        A column that never changes becomes zeros.

        Args:
            name: the table's name.
            values: [N, F]; what stands in the rows of unknown genes does not matter.
            known: bool [N]; by default every gene is known.

        Raises:
            DataError: as for the class.
        """
        wide = np.array(values, dtype=np.float64)
        rows = np.ones(wide.shape[:1], dtype=bool) if known is None else np.asarray(known, dtype=bool)
        if wide.ndim == 2 and rows.shape == wide.shape[:1] and rows.any():
            mean, std = wide[rows].mean(axis=0), wide[rows].std(axis=0)
            constant = std <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
            wide = np.where(constant, 0.0, (wide - mean) / np.where(constant, 1.0, std))
            wide[~rows] = 0.0
        return cls(name, wide.astype(np.float32), rows)

    def digest(self) -> str:
        """Return a hash of the content."""
        hasher = hashlib.blake2b(f"{self.name}/{self.width}".encode(), digest_size=8)
        hasher.update(self.values.tobytes())
        hasher.update(self.known.tobytes())
        return hasher.hexdigest()
