"""Interaction profiles: a gene's labels with all its partners, and which genes have similar ones.

Genes with similar profiles tend to work in one pathway (Costanzo et al. 2010, Science 327, 425-431).

Shapes: N genes, n of them that occur in pairs, P pairs, d features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import Network
from gisearch.data.derived.evidence import Evidence, Integers
from gisearch.data.gene_features import GeneFeatures

# Similarities are compared after so many decimals: sums come in no fixed order, and equal ones must be equal.
_DECIMALS = 6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Profiles:
    """The profiles of n genes among each other, zero where nothing was measured.

    Attributes:
        genes: int64 [n], ascending.
        matrix: float64 [n, n], symmetric: centred labels of pairs.
    """

    genes: Integers
    matrix: Floats

    @classmethod
    def of(cls, evidence: Evidence, genes: Integers) -> Profiles:
        """Arrange pairs, whose genes are all among ``genes``, as a matrix."""
        matrix = np.zeros((len(genes), len(genes)))
        first, second = np.searchsorted(genes, evidence.pairs)
        matrix[first, second] = matrix[second, first] = evidence.centred
        return cls(genes, matrix)

    def similarity(self, closeness: Floats | None = None) -> Floats:
        """Return the cosines of profiles, [n, n]: Y Y^T scaled to a unit diagonal.

        Args:
            closeness: B, [n, n]: of partners; then it is Y B Y^T. A gene without a profile is like none.
        """
        product = self.matrix @ (self.matrix if closeness is None else closeness @ self.matrix)
        length = np.sqrt(np.maximum(np.diag(product), 0.0))
        scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 1e-9)
        result: Floats = np.round(product * scale[:, None] * scale[None, :], _DECIMALS)
        return result

    def features(self, name: str, factor: Floats, num_genes: int) -> GeneFeatures:
        """Return every gene's profile in d numbers: Y W, each row scaled to length one.

        The products of two rows are about the profiles' similarity (random projections: Johnson and
        Lindenstrauss 1984, Contemporary Mathematics 26), with an error of about 1 / sqrt(d).

        Args:
            name: the table's name.
            factor: W, random numbers, the same for whatever part of the pairs, [n, d].
            num_genes: N.
        """
        projected = self.matrix @ factor
        length = np.sqrt((projected**2).sum(1))
        has_one = length > 1e-9
        values = np.zeros((num_genes, factor.shape[1]))
        known = np.zeros(num_genes, dtype=bool)
        values[self.genes[has_one]] = projected[has_one] / length[has_one, None]
        known[self.genes[has_one]] = True
        return GeneFeatures(name, np.round(values, _DECIMALS).astype(np.float32), known)


def nearest_network(
    name: str, genes: Integers, similarity: Floats, num_genes: int, *, top_k: int, least: float
) -> Network:
    """Link every gene to those that are most similar to it; an edge of one of the two is one of both.

    Args:
        name: the network's name.
        genes: int64 [n].
        similarity: [n, n].
        num_genes: N.
        top_k: how many; of equally similar genes those that come first.
        least: similarities below it, and those that are not above zero, do not count.
    """
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    count = min(top_k, len(genes) - 1)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :count]
    own = np.repeat(np.arange(len(genes)), count)
    other = nearest.ravel()
    value = others[own, other]
    kept = (value > 0) & (value >= least)
    pairs = np.stack([genes[own[kept]], genes[other[kept]]])
    # Rounding may leave the similarity of equal profiles a little above one.
    scores = np.minimum(value[kept], 1.0)
    return Network.from_pairs(name, pairs, scores, directed=False, num_genes=num_genes)
