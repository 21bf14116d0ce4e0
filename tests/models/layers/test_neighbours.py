"""Neighbour sums and means against dense adjacency products, gradients included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.data.cell_graph import Network
from gisearch.models.layers.neighbours import Neighbours

NUM_GENES = 12


def hub(num_genes: int = NUM_GENES) -> Network:
    """Gene 0 is everybody's neighbour except gene 11's, which has none."""
    others = np.arange(1, num_genes - 1)
    pairs = np.stack([np.zeros_like(others), others])
    return Network.from_pairs("hub", pairs, directed=False, num_genes=num_genes)


def random_directed(num_genes: int = NUM_GENES) -> Network:
    pairs = np.random.default_rng(0).integers(0, num_genes - 1, size=(2, 40))
    return Network.from_pairs("random", pairs, directed=True, num_genes=num_genes)


def empty(num_genes: int = NUM_GENES) -> Network:
    return Network.from_pairs("empty", np.empty((2, 0)), directed=True, num_genes=num_genes)


NETWORKS = [hub(), random_directed(), empty()]


def dense_adjacency(networks: list[Network]) -> Tensor:
    """[G, target, source]."""
    adjacency = torch.zeros(len(networks), NUM_GENES, NUM_GENES, dtype=torch.float64)
    for i, network in enumerate(networks):
        for source, target in network.edges.T:
            adjacency[i, target, source] = 1.0
    return adjacency


def features() -> Tensor:
    return torch.randn(NUM_GENES, 5, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("networks", [NETWORKS, [empty()], [hub()], [empty(), random_directed()]])
def test_sum_is_the_dense_product_with_its_gradient(networks: list[Network]) -> None:
    torch.manual_seed(0)
    x, weight = features(), torch.randn(len(networks), NUM_GENES, 5, dtype=torch.float64)
    adjacency = dense_adjacency(networks)
    found = Neighbours(networks, NUM_GENES).sum(x)
    expected = adjacency @ x
    torch.testing.assert_close(found, expected)
    (found_gradient,) = torch.autograd.grad((found * weight).sum(), x)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(found_gradient, expected_gradient)


def test_sum_passes_gradcheck() -> None:
    torch.manual_seed(1)
    neighbours = Neighbours(NETWORKS, NUM_GENES)
    assert torch.autograd.gradcheck(neighbours.sum, (features(),))


def test_sum_with_own_adds_a_multiple_of_the_gene_itself() -> None:
    torch.manual_seed(5)
    x, adjacency = features(), dense_adjacency(NETWORKS)
    own = torch.randn(3, 1, 1, dtype=torch.float64, requires_grad=True)
    neighbours = Neighbours(NETWORKS, NUM_GENES)
    torch.testing.assert_close(neighbours.sum_with_own(x, own), adjacency @ x + own * x)
    assert torch.autograd.gradcheck(neighbours.sum_with_own, (x, own))


def test_sum_takes_a_gradient_that_is_not_contiguous() -> None:
    torch.manual_seed(2)
    x = features()
    total = Neighbours(NETWORKS, NUM_GENES).sum(x)
    # An expanded gradient, as sum() makes it.
    total.sum().backward()
    expected = dense_adjacency(NETWORKS).sum((0, 1)).unsqueeze(-1).expand(-1, 5)
    torch.testing.assert_close(x.grad, expected.contiguous())


def test_mean_divides_by_the_degree_and_gives_genes_without_neighbours_zeros() -> None:
    torch.manual_seed(3)
    x, adjacency = features(), dense_adjacency(NETWORKS)
    degree = adjacency.sum(-1, keepdim=True)
    found = Neighbours(NETWORKS, NUM_GENES).mean(x)
    torch.testing.assert_close(found, adjacency @ x / degree.clamp_min(1))
    isolated = degree.squeeze(-1) == 0
    assert isolated[2].all()
    assert isolated[0, 11]
    assert (found[isolated] == 0).all()


def test_isolated_genes_get_zero_and_give_no_gradient() -> None:
    torch.manual_seed(4)
    x = features()
    total = Neighbours([hub()], NUM_GENES).sum(x)
    assert (total[0, 11] == 0).all()
    total.square().sum().backward()
    assert x.grad is not None
    assert (x.grad[11] == 0).all()
    assert (x.grad[0] != 0).any()


def test_long_sums_are_cut_into_pieces_elsewhere_than_on_a_processor() -> None:
    """On a GPU a hub's neighbours would be added one after another; a processor adds them so anyway."""
    neighbours = Neighbours([hub(200), random_directed(200)], 200)
    assert neighbours.incidence.by_row.pieces is None
    elsewhere = neighbours.to("meta").incidence
    assert elsewhere.by_row.pieces is not None
    assert elsewhere.by_column.pieces is not None
    assert len(elsewhere.by_row.pieces.rows) == 401
    assert len(elsewhere.by_column.pieces.rows) == 201
    assert Neighbours(NETWORKS, NUM_GENES).to("meta").incidence.by_row.pieces is None


def test_the_edges_are_not_in_the_state_dict_and_move_with_the_module() -> None:
    neighbours = Neighbours(NETWORKS, NUM_GENES)
    assert neighbours.state_dict() == {}
    assert neighbours.to("meta").source.device.type == "meta"
