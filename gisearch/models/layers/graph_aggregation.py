"""From one embedding per network and gene to one per gene: [G, N, h], in slabs of networks, to [N, h]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor, nn

from gisearch.models.layers.config import AggregationName
from gisearch.models.layers.mlp import are_alone, joined
from gisearch.models.layers.product import Linear


class GraphAggregation(nn.Module, ABC):
    """Combines the networks, per gene.

    Attributes:
        is_sum: whether the combination is a sum over networks, up to :meth:`scale`.
    """

    is_sum: ClassVar[bool] = False

    def scale(self, num_networks: int) -> float:
        """Return the factor of the sum, where the combination is one."""
        return 1.0

    @abstractmethod
    def forward(self, slabs: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Map slabs of [G, N, h] to [N, h] and the attention weights of every gene, where there are any.

        The weights are [N, G] for ``cross_attention`` (how much each network is attended to, summing to
        one) and [N, pairs + 1] for ``pairwise_interaction`` (the last option is the plain mean).
        """

    def network_shares(self, weights: Tensor, num_networks: int) -> Tensor:
        """Return how much of every gene's attention each network has, [N, G], rows summing to one.

        Args:
            weights: the attention weights that :meth:`forward` returned.
            num_networks: G.
        """
        return weights


class SumAggregation(GraphAggregation):
    """The sum over networks."""

    is_sum = True

    def forward(self, slabs: Sequence[Tensor]) -> tuple[Tensor, None]:
        """Sum over G."""
        return _total(slabs), None


class MeanAggregation(GraphAggregation):
    """The mean over networks."""

    is_sum = True

    def scale(self, num_networks: int) -> float:
        """Return 1 / G."""
        return 1 / num_networks

    def forward(self, slabs: Sequence[Tensor]) -> tuple[Tensor, None]:
        """Average over G."""
        return _total(slabs) * self.scale(len(slabs) if are_alone(slabs) else len(slabs[0])), None


def _total(slabs: Sequence[Tensor]) -> Tensor:
    # Added one by one: put together, networks would be written and read once more.
    return reduce(torch.add, slabs) if are_alone(slabs) else slabs[0].sum(0)


class CrossAttentionAggregation(GraphAggregation):
    """Multi-head self-attention over the network axis, then the mean over it.

    A learnable embedding per network tells the networks apart.
    """

    def __init__(self, num_networks: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.network = nn.Parameter(torch.randn(num_networks, 1, width) * 0.02)
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)

    def forward(self, slabs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Attend over G for every gene."""
        x = joined(slabs)
        num_networks, num_genes, width = x.shape
        tokens = (x + self.network).transpose(0, 1)
        qkv = self.qkv(tokens).view(num_genes, num_networks, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = torch.softmax(query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5, dim=-1)
        # The output layer is affine, so averaging over networks first gives the same for G times less work.
        mean_weights = weights.mean(2, keepdim=True)
        mixed = (mean_weights @ value).reshape(num_genes, width)
        return self.out(mixed), mean_weights.squeeze(2).mean(1)


class PairwiseInteractionAggregation(GraphAggregation):
    """A softmax over interactions of every pair of networks, self-pairs included, and the plain mean.

    Each pair's concatenated embeddings go through an MLP with a bottleneck; a scorer weights the options.
    """

    first: Tensor
    second: Tensor

    def __init__(self, num_networks: int, width: int, bottleneck: int) -> None:
        super().__init__()
        first, second = torch.triu_indices(num_networks, num_networks)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        # Linear on a concatenation is the sum of two linears: each network is projected once, not per pair.
        self.left = Linear(width, bottleneck)
        self.right = Linear(width, bottleneck, bias=False)
        self.expand = Linear(bottleneck, width)
        self.score = Linear(width, 1)

    def forward(self, slabs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Weight the options for every gene."""
        x = joined(slabs)
        hidden = torch.relu(self.left(x)[self.first] + self.right(x)[self.second])
        options = torch.cat([self.expand(hidden), x.mean(0, keepdim=True)])
        weights = torch.softmax(self.score(options), dim=0)
        return (weights * options).sum(0), weights.squeeze(-1).T

    def network_shares(self, weights: Tensor, num_networks: int) -> Tensor:
        """Divide the weight of a pair between its two networks, that of the plain mean among all."""
        pairs, mean = weights[:, :-1], weights[:, -1:]
        shares = (mean / num_networks).repeat(1, num_networks)
        shares = shares.index_add(1, self.first, pairs / 2)
        return shares.index_add(1, self.second, pairs / 2)


def graph_aggregation(
    name: AggregationName, num_networks: int, width: int, *, heads: int, bottleneck: int
) -> GraphAggregation:
    """Return the aggregation called ``name``."""
    match name:
        case "sum":
            return SumAggregation()
        case "mean":
            return MeanAggregation()
        case "cross_attention":
            return CrossAttentionAggregation(num_networks, width, heads)
        case "pairwise_interaction":
            return PairwiseInteractionAggregation(num_networks, width, bottleneck)
