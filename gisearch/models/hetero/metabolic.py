"""Messages within metabolism: reactions as hyperedges, or as nodes of a bipartite graph."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gisearch.models.hetero.attention import RelationAttention
from gisearch.models.hetero.graph import Edges
from gisearch.models.layers.product import Linear

MetabolicGraph = Literal["hypergraph", "bipartite"]


class StoichiometricHypergraph(nn.Module):
    """Hypergraph convolution: metabolites through the reactions that they take part in.

    With S the signed, normalised stoichiometry [M, R], and D and B the sums of |S| over reactions and over
    metabolites, reaction embeddings y as hyperedge features and metabolites x:

        e = ReLU(B^-1 S' Theta x + Phi y + c)       out = D^-1 S W e + b

    The sign tells what is consumed from what is produced. A reaction receives a linear map of its own e.
    Source: Bai, Zhang and Torr 2021, arXiv 1901.08150.

    Args:
        width: h.
        last: whether no later layer reads metabolites, which then receive nothing.
    """

    def __init__(self, width: int, *, last: bool) -> None:
        super().__init__()
        self.node = Linear(width, width, bias=False)
        self.hyperedge = Linear(width, width)
        self.reaction = Linear(width, width)
        self.metabolite = None if last else Linear(width, width)

    def forward(
        self, reactions: Tensor, metabolites: Tensor, stoichiometry: Edges
    ) -> tuple[Tensor, Tensor | None]:
        """Map [R, h] and [M, h] to the messages to reactions, [R, h], and to metabolites, [M, h] or None."""
        into = signed_mean(self.node(metabolites), stoichiometry, len(reactions))
        state = torch.relu(into + self.hyperedge(reactions))
        to_reactions = self.reaction(state)
        if self.metabolite is None:
            return to_reactions, None
        back = signed_mean(state, stoichiometry.reversed(), len(metabolites))
        return to_reactions, self.metabolite(back)


class BipartiteMetabolism(nn.Module):
    """GATv2 from metabolites to reactions and back, stoichiometry as the edges' feature.

    Args:
        width: h.
        heads: attention heads.
        last: whether no later layer reads metabolites, which then receive nothing.
    """

    def __init__(self, width: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.to_reactions = RelationAttention(width, heads, edge_features=True)
        self.to_metabolites = None if last else RelationAttention(width, heads, edge_features=True)

    def forward(
        self, reactions: Tensor, metabolites: Tensor, stoichiometry: Edges
    ) -> tuple[Tensor, Tensor | None]:
        """Map [R, h] and [M, h] to the messages to reactions, [R, h], and to metabolites, [M, h] or None."""
        to_reactions = self.to_reactions(metabolites, reactions, stoichiometry)
        if self.to_metabolites is None:
            return to_reactions, None
        return to_reactions, self.to_metabolites(reactions, metabolites, stoichiometry.reversed())


class Catalysed(nn.Module):
    """What reactions tell the genes that catalyse them: the mean over a gene's reactions, a linear map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = Linear(width, width)

    def forward(self, reactions: Tensor, catalysis: Edges, num_genes: int) -> Tensor:
        """Map [R, h] to one message per gene, [num_genes, h]."""
        ones = reactions.new_ones(len(catalysis.source))
        back = Edges(catalysis.target, catalysis.source, ones)
        out: Tensor = self.linear(signed_mean(reactions, back, num_genes))
        return out


def signed_mean(x: Tensor, edges: Edges, num_targets: int) -> Tensor:
    """Sum weight times source over each target's edges, by its sum of |weight|: [n, h] to [num_targets, h].

    A target without edges gets zeros.
    """
    assert edges.weight is not None, "a signed mean needs weights"
    weight = edges.weight.to(x.dtype)
    total = x.new_zeros(num_targets, x.shape[1])
    total = total.index_add(0, edges.target, x[edges.source] * weight.unsqueeze(-1))
    size = weight.new_zeros(num_targets).index_add(0, edges.target, weight.abs())
    return total / size.clamp_min(1e-12).unsqueeze(-1)
