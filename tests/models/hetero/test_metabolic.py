"""Messages within metabolism, against dense matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.models.hetero.graph import Edges
from gisearch.models.hetero.metabolic import (
    BipartiteMetabolism,
    Catalysed,
    StoichiometricHypergraph,
    signed_mean,
)

METABOLITES, REACTIONS, WIDTH = 6, 5, 4


def stoichiometry() -> tuple[Edges, Tensor]:
    """Random signed stoichiometry as edges and as a matrix [M, R]; reaction 4 and metabolite 5 have none."""
    torch.manual_seed(3)
    matrix = torch.randn(METABOLITES, REACTIONS) * (torch.rand(METABOLITES, REACTIONS) < 0.6)
    matrix[:, 4], matrix[5] = 0.0, 0.0
    metabolite, reaction = matrix.nonzero(as_tuple=True)
    return Edges(metabolite, reaction, matrix[metabolite, reaction]), matrix


def test_the_hypergraph_convolution_is_its_matrix_form() -> None:
    edges, s = stoichiometry()
    layer = StoichiometricHypergraph(WIDTH, last=False)
    x, y = torch.randn(METABOLITES, WIDTH), torch.randn(REACTIONS, WIDTH)
    b = s.abs().sum(0).clamp_min(1e-12).reciprocal().diag()
    d = s.abs().sum(1).clamp_min(1e-12).reciprocal().diag()
    e = torch.relu(b @ s.T @ layer.node(x) + layer.hyperedge(y))
    assert layer.metabolite is not None
    to_reactions, to_metabolites = layer(y, x, edges)
    torch.testing.assert_close(to_reactions, layer.reaction(e))
    torch.testing.assert_close(to_metabolites, layer.metabolite(d @ s @ e))


def test_consumed_and_produced_are_told_apart() -> None:
    edges, _ = stoichiometry()
    assert edges.weight is not None
    layer = StoichiometricHypergraph(WIDTH, last=False)
    x, y = torch.randn(METABOLITES, WIDTH), torch.randn(REACTIONS, WIDTH)
    other = layer(y, x, Edges(edges.source, edges.target, edges.weight.abs()))
    assert not torch.allclose(layer(y, x, edges)[0], other[0])


def test_the_last_layer_sends_nothing_to_metabolites() -> None:
    edges, _ = stoichiometry()
    x, y = torch.randn(METABOLITES, WIDTH), torch.randn(REACTIONS, WIDTH)
    for layer in (StoichiometricHypergraph(WIDTH, last=True), BipartiteMetabolism(WIDTH, 2, last=True)):
        to_reactions, to_metabolites = layer(y, x, edges)
        assert to_reactions.shape == (REACTIONS, WIDTH)
        assert to_metabolites is None
        assert not any("metabolite" in name for name, _ in layer.named_parameters())


def test_the_bipartite_graph_runs_both_ways_and_reads_stoichiometry() -> None:
    edges, _ = stoichiometry()
    assert edges.weight is not None
    layer = BipartiteMetabolism(WIDTH, 2, last=False)
    x, y = torch.randn(METABOLITES, WIDTH), torch.randn(REACTIONS, WIDTH)
    to_reactions, to_metabolites = layer(y, x, edges)
    assert layer.to_metabolites is not None
    back = Edges(edges.target, edges.source, edges.weight)
    torch.testing.assert_close(to_reactions, layer.to_reactions(x, y, edges))
    torch.testing.assert_close(to_metabolites, layer.to_metabolites(y, x, back))
    for value, other in zip(
        layer(y, x, Edges(edges.source, edges.target, -edges.weight)),
        (to_reactions, to_metabolites),
        strict=True,
    ):
        assert not torch.allclose(value, other)


def test_genes_receive_the_mean_of_their_reactions() -> None:
    layer, reactions = Catalysed(WIDTH), torch.randn(REACTIONS, WIDTH)
    catalysis = Edges(torch.tensor([0, 0, 2]), torch.tensor([1, 3, 1]))
    means = torch.stack([(reactions[1] + reactions[3]) / 2, torch.zeros(WIDTH), reactions[1]])
    torch.testing.assert_close(layer(reactions, catalysis, 3), layer.linear(means))


def test_a_signed_mean_without_edges_is_zero() -> None:
    edges, _ = stoichiometry()
    assert torch.equal(signed_mean(torch.randn(METABOLITES, 2), edges, REACTIONS)[4], torch.zeros(2))
