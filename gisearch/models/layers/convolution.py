"""Graph convolutions over all networks at once: one input per gene, one output per network and gene."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gisearch.models.layers.mlp import ActivationName, NetworkLinear, activation
from gisearch.models.layers.neighbours import Neighbours

ConvolutionName = Literal["gin", "gatv2", "sage", "lightgcn"]


class GIN(nn.Module):
    """Graph isomorphism network with a trainable eps and an MLP per network.

    out_g = MLP_g((1 + eps_g) x + sum of x over the neighbours in network g).
    Source: Xu et al. 2019, arXiv 1810.00826.
    """

    def __init__(
        self, num_networks: int, width: int, *, mlp_layers: int = 2, act: ActivationName = "relu"
    ) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(num_networks, 1, 1))
        layers: list[nn.Module] = [NetworkLinear(num_networks, width, width)]
        for _ in range(mlp_layers - 1):
            layers += [activation(act), NetworkLinear(num_networks, width, width)]
        self.mlp = nn.Sequential(*layers)

    def forward(self, x: Tensor, neighbours: Neighbours) -> Tensor:
        """Map [N, h] to [G, N, h]."""
        out: Tensor = self.mlp((1 + self.eps) * x + neighbours.sum(x))
        return out


class GATv2(nn.Module):
    """Attention over neighbours that scores after the non-linearity; no self-loops.

    Heads are concatenated to the full width. A gene without neighbours gets the bias alone.
    Source: Brody et al. 2022, arXiv 2105.14491.
    """

    def __init__(self, num_networks: int, width: int, *, heads: int = 4, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.heads, self.negative_slope = heads, negative_slope
        self.source = NetworkLinear(num_networks, width, width)
        self.target = NetworkLinear(num_networks, width, width)
        self.attention = nn.Parameter(torch.empty(num_networks, heads, width // heads))
        self.bias = nn.Parameter(torch.zeros(num_networks, 1, width))
        nn.init.xavier_uniform_(self.attention)

    def forward(self, x: Tensor, neighbours: Neighbours) -> Tensor:
        """Map [N, h] to [G, N, h]."""
        # Imported where it is used: the library takes seconds to import, and GIN does without it.
        from torch_geometric.utils import softmax

        num_networks, num_genes, width = neighbours.num_networks, neighbours.num_genes, x.shape[-1]
        stacked = x.expand(num_networks, -1, -1)
        sources = self.source(stacked).view(-1, self.heads, width // self.heads)
        targets = self.target(stacked).view(-1, self.heads, width // self.heads)
        network = torch.div(neighbours.row, num_genes, rounding_mode="floor")
        from_rows = sources[neighbours.source + network * num_genes]
        hidden = nn.functional.leaky_relu(from_rows + targets[neighbours.row], self.negative_slope)
        logits = (hidden * self.attention[network]).sum(-1)
        weights = softmax(logits, ptr=neighbours.offsets)
        messages = from_rows * weights.unsqueeze(-1)
        total = messages.new_zeros(num_networks * num_genes, self.heads, width // self.heads)
        total = total.index_add(0, neighbours.row, messages)
        out: Tensor = total.view(num_networks, num_genes, width) + self.bias
        return out


class SAGE(nn.Module):
    """A gene and the mean of its neighbours, each through a linear layer per network.

    The mean makes hubs and peripheral genes alike in scale, and genes with the same partners alike.
    Source: Hamilton et al. 2017, arXiv 1706.02216.
    """

    def __init__(self, num_networks: int, width: int) -> None:
        super().__init__()
        self.own = NetworkLinear(num_networks, width, width)
        self.mean = NetworkLinear(num_networks, width, width)

    def forward(self, x: Tensor, neighbours: Neighbours) -> Tensor:
        """Map [N, h] to [G, N, h]."""
        out: Tensor = self.own(x.expand(neighbours.num_networks, -1, -1)) + self.mean(neighbours.mean(x))
        return out


class LightGCN(nn.Module):
    """The mean of a gene's neighbours and nothing else: no weights, no non-linearity.

    What learns is the embeddings, which the networks smooth: the strongest prior for screens with few
    genotypes per gene. Source: He et al. 2020, arXiv 2002.02126.
    """

    def forward(self, x: Tensor, neighbours: Neighbours) -> Tensor:
        """Map [N, h] to [G, N, h]."""
        return neighbours.mean(x)
