"""Attentional pooling of one node type, for wild type and mutants."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gisearch.models.hetero.attention import at_least_single
from gisearch.models.layers.gene_rules import LostNodes
from gisearch.models.layers.mlp import mlp
from gisearch.models.layers.product import Linear


@dataclass(frozen=True)
class WeighedNodes:
    """The wild type's nodes as they are pooled, in double precision.

    Attributes:
        weights: softmax weights, [n].
        weighted: transformed features times their weights, [n, h].
    """

    weights: Tensor
    weighted: Tensor


class NodePooling(nn.Module):
    """A softmax gate over kept nodes times transformed features.

    What a mutant changes in the pooled wild type is about 1 / n of it; it is computed directly, and returned
    times the number of nodes n, which gives it the scale of one node's features whatever the cell's size.
    Source: the global attention of Li et al. 2016, arXiv 1511.05493.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = mlp([width, width // 2, 1])
        self.transform = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Pool the wild type: [n, h] to z_w, [1, h]."""
        return self._weighted(x).sum(0, keepdim=True)

    def change(self, x: Tensor, lost: LostNodes) -> Tensor:
        """Return n (z_w - z_i) where genotypes lose nodes and the others stay as they are, [B, h].

        Args:
            x: wild-type features, [n, h].
            lost: the nodes that genotypes lack.
        """
        return self.change_of(self.weigh(x), lost)

    def weigh(self, x: Tensor) -> WeighedNodes:
        """Return what :meth:`change_of` reads of wild-type features [n, h]."""
        # In double precision subtracting nearly all weight leaves enough digits of the rest.
        weights = torch.softmax(self.gate(x).squeeze(-1).double(), dim=0)
        features = self.transform(x).double()
        return WeighedNodes(weights, weights.unsqueeze(-1) * features)

    def change_of(self, nodes: WeighedNodes, lost: LostNodes) -> Tensor:
        """Return what :meth:`change` does, of nodes that were weighed before.

        With z_i = (z_w - sum a_p f_p) / (1 - sum a_p): z_w - z_i = sum a_p (f_p - z_i), sums over lost nodes.
        """
        weights, weighted = nodes.weights, nodes.weighted
        size = lost.num_genotypes
        lost_weight = weights.new_zeros(size).index_add(0, lost.genotype, weights[lost.node]).unsqueeze(-1)
        lost_sum = weights.new_zeros(size, weighted.shape[1]).index_add(0, lost.genotype, weighted[lost.node])
        # A genotype without any weight left has no mutant; the bound keeps it finite.
        mutant = (weighted.sum(0) - lost_sum) / (1 - lost_weight).clamp_min(1e-12)
        change: Tensor = (lost_sum - lost_weight * mutant) * len(weights)
        return change.to(self.transform.weight.dtype)

    def change_of_copies(self, x: Tensor, copies: Tensor, kept: Tensor) -> Tensor:
        """Return n (z_w - z_i) where every genotype has features of its own, [B, h].

        Args:
            x: wild-type features, [n, h].
            copies: each genotype's features, [B, n, h].
            kept: which nodes it keeps, bool [B, n].
        """
        logits = at_least_single(self.gate(copies).squeeze(-1))
        mutant = torch.softmax(logits.masked_fill(~kept, torch.finfo(logits.dtype).min), dim=-1) * kept
        # Node by node, so that what is alike cancels before it is summed.
        lost: Tensor = self._weighted(x) - mutant.unsqueeze(-1) * self.transform(copies)
        return lost.sum(1) * len(x)

    def _weighted(self, x: Tensor) -> Tensor:
        weights = torch.softmax(at_least_single(self.gate(x).squeeze(-1)), dim=0)
        weighted: Tensor = weights.unsqueeze(-1) * self.transform(x)
        return weighted
