"""MetaEmbedding: from one embedding per network and gene to one per gene, by how useful each network is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.layers.mlp import mlp


class MetaEmbedding(nn.Module):
    """A 2-layer MLP scores each network's embedding of a gene; a softmax over networks weights their sum.

    A single network has the weight one, and there is nothing to score.
    Source: DANGO, Zhang et al. 2020, doi:10.1101/2020.11.26.400739.
    """

    def __init__(self, num_networks: int, width: int) -> None:
        super().__init__()
        self.score = mlp([width, width, 1]) if num_networks > 1 else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map [G, N, h] to [N, h] and the weights of the networks, [N, G], which sum to one."""
        if self.score is None:
            return x[0], x.new_ones(x.shape[1], 1)
        weights = torch.softmax(self.score(x), dim=0)
        return (weights * x).sum(0), weights.squeeze(-1).T
