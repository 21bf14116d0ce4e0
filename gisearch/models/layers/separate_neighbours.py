"""Networks that do not mix: every network passes its own embeddings of the genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from gisearch.data.cell_graph import Network
from gisearch.models.layers.neighbours import Neighbours


class SeparateNeighbours(Neighbours):
    """Neighbour sums of G networks over [G, N, h] instead of one [N, h] for all.

    The networks become one over G * N genes, network g having the genes g * N to (g + 1) * N - 1, so that
    ``source`` and ``reverse_offsets`` count in [G * N], as ``row`` and ``offsets`` do.
    """

    def __init__(self, networks: Sequence[Network], num_genes: int) -> None:
        shifted = [network.edges + i * num_genes for i, network in enumerate(networks)]
        stacked = np.concatenate(shifted, axis=1)
        super().__init__([Network("all", stacked)], len(networks) * num_genes)
        self.num_networks, self.num_genes = len(networks), num_genes

    def sum(self, x: Tensor) -> Tensor:
        """Sum the features of each gene's neighbours in every network: [G, N, h] to [G, N, h]."""
        return super().sum(x.reshape(-1, x.shape[-1]))
