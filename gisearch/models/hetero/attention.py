"""GATv2 from nodes of one type to nodes of another, with or without edge features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.hetero.graph import Edges
from gisearch.models.layers.product import Linear


class RelationAttention(nn.Module):
    """Attention over incoming edges that scores after the non-linearity; no self-loops.

    out_i = sum_j alpha_ij W x_j + b, alpha_ij = softmax over j of a . LeakyReLU(W x_j + V y_i + U w_ij), the
    last term only with edge features. Heads are concatenated. A node without edges gets the bias alone.
    Source: Brody et al. 2022, arXiv 2105.14491.
    """

    def __init__(
        self, width: int, heads: int, *, edge_features: bool = False, negative_slope: float = 0.2
    ) -> None:
        super().__init__()
        self.heads, self.negative_slope = heads, negative_slope
        self.source = Linear(width, width, bias=False)
        self.target = Linear(width, width)
        self.edge = Linear(1, width, bias=False) if edge_features else None
        self.attention = nn.Parameter(torch.empty(heads, width // heads))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.attention)

    def forward(self, sources: Tensor, targets: Tensor, edges: Edges) -> Tensor:
        """Map source nodes [n, h] and target nodes [m, h] to one message per target node, [m, h].

        Args:
            sources: features of the nodes that send.
            targets: features of the nodes that receive.
            edges: between them; with a weight each where the relation has edge features.
        """
        sent = self.source(sources)[edges.source]
        hidden = sent + self.target(targets)[edges.target]
        if self.edge is not None:
            assert edges.weight is not None, "edge features need edges that carry a weight"
            hidden = hidden + self.edge(edges.weight.unsqueeze(-1))
        hidden = nn.functional.leaky_relu(hidden, self.negative_slope).unflatten(1, self.attention.shape)
        logits = at_least_single((hidden * self.attention).sum(-1))
        # A shift per target leaves a softmax as it is; by the largest logit, no exponential overflows.
        index = edges.target.unsqueeze(-1).expand_as(logits)
        peak = logits.new_zeros(len(targets), self.heads)
        peak = peak.scatter_reduce(0, index, logits.detach(), "amax", include_self=False)
        share = (logits - peak[edges.target]).exp()
        total = share.new_zeros(len(targets), self.heads).index_add(0, edges.target, share)
        messages = (sent.view_as(hidden) * share.unsqueeze(-1)).flatten(1)
        summed = messages.new_zeros(len(targets), messages.shape[1]).index_add(0, edges.target, messages)
        # The largest share of a target with edges is one, so only targets without edges are bounded.
        mean = summed.view(len(targets), self.heads, -1) / total.clamp_min(1e-6).unsqueeze(-1)
        out: Tensor = mean.view(len(targets), -1) + self.bias
        return out


def at_least_single(x: Tensor) -> Tensor:
    """Return half-precision values in single precision, where a softmax needs it; others as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
