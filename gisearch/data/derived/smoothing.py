"""Closeness of genes in networks, which smooths profiles: diffusion, independent of every label.

Shapes: N genes, n of them that occur in pairs, G networks, d features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import Network

# How much of a gene's value a step takes from its neighbours.
RATE = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Smoothing:
    """How close n genes are in G networks.

    A network is made symmetric and normalised, S = D^-1/2 A D^-1/2; M = (1/2 I + 1/2 S)^steps takes values
    from neighbours step by step, and K = M M^T, scaled to a unit diagonal, says how close two genes are.
    Source of such kernels: Smola and Kondor 2003, Kernels and regularization on graphs, COLT.

    Attributes:
        closeness: B, the mean of the identity and every network's K, [n, n].
        factor: W, random numbers with E[W W^T] = d B, [n, d].
    """

    closeness: Floats
    factor: Floats

    @classmethod
    def of(
        cls,
        networks: Sequence[Network],
        genes: npt.NDArray[np.int64],
        steps: int,
        noise: npt.NDArray[np.float64],
    ) -> Smoothing:
        """Compute both.

        Args:
            networks: the G networks.
            genes: int64 [n].
            steps: steps of the diffusion.
            noise: independent standard normal numbers, [G + 1, N, d]; d may be 0.
        """
        closeness, factor = np.eye(len(genes)), noise[0, genes].copy()
        for network, own in zip(networks, noise[1:], strict=True):
            # Nothing flows to or from a gene without edges: it is close to itself alone.
            touched = np.unique(network.edges)
            inside = np.isin(genes, touched)
            columns = _diffused(network, touched, genes[inside], steps)
            closeness[np.ix_(inside, inside)] += columns.T @ columns
            closeness[~inside, ~inside] += 1.0
            factor[inside] += columns.T @ own[touched]
            factor[~inside] += own[genes[~inside]]
        number = len(networks) + 1
        return cls(closeness / number, factor / np.sqrt(number))


def _diffused(
    network: Network, touched: npt.NDArray[np.int64], genes: npt.NDArray[np.int64], steps: int
) -> Floats:
    """Return the rows of M of some genes as columns of length one, [len(touched), len(genes)]."""
    matrix = _normalised(np.searchsorted(touched, network.edges), len(touched))
    columns = np.zeros((len(touched), len(genes)))
    columns[np.searchsorted(touched, genes), np.arange(len(genes))] = 1.0
    for _ in range(steps):
        columns = (1 - RATE) * columns + RATE * (matrix @ columns)
    # M is symmetric: its columns are its rows.
    return np.asarray(columns / np.sqrt((columns**2).sum(0)))


def _normalised(edges: npt.NDArray[np.int64], size: int) -> Any:
    """Return S of a network as a sparse matrix, [size, size]; scores and directions of edges do not count."""
    from scipy.sparse import csr_array, diags_array

    both = np.unique(np.concatenate([edges, edges[::-1]], axis=1), axis=1)
    adjacency = csr_array((np.ones(both.shape[1]), (both[0], both[1])), shape=(size, size))
    scale = diags_array(1.0 / np.sqrt(np.asarray(adjacency.sum(1)).ravel()))
    return (scale @ adjacency @ scale).tocsr()
