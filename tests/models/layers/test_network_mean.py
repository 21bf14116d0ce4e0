"""The mean of neighbours against the same written with dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gisearch.data.cell_graph import Network
from gisearch.models.layers.network_mean import NetworkMean

NUM_GENES = 6
SCORED = Network.from_pairs(
    "scored", [[0, 0, 1, 3], [1, 2, 2, 4]], [0.9, 0.3, 0.5, 0.2], directed=False, num_genes=NUM_GENES
)
# Gene 5 has no edge in either; 4 regulates 0 and is not regulated.
DIRECTED = Network.from_pairs("directed", [[4, 4], [0, 3]], directed=True, num_genes=NUM_GENES)


def dense(networks: list[Network]) -> torch.Tensor:
    """P as it is defined."""
    total, holding = torch.zeros(NUM_GENES, NUM_GENES, dtype=torch.float64), torch.zeros(NUM_GENES, 1)
    for network in networks:
        edges = torch.zeros(NUM_GENES, NUM_GENES, dtype=torch.float64)
        for i, (source, target) in enumerate(network.edges.T):
            score = 1.0 if network.scores is None else float(network.scores[i])
            edges[source, target] = edges[target, source] = score
        strength = edges.sum(1, keepdim=True)
        total += edges / torch.where(strength > 0, strength, 1.0)
        holding += strength > 0
    return total / holding.clamp_min(1)


def test_the_mean_is_that_of_the_dense_matrix() -> None:
    torch.manual_seed(0)
    x = torch.randn(NUM_GENES, 3)
    for networks in ([SCORED], [DIRECTED], [SCORED, DIRECTED]):
        expected = dense(networks) @ x.double()
        torch.testing.assert_close(NetworkMean(networks, NUM_GENES)(x).double(), expected, rtol=0, atol=1e-6)
    matrix = dense([SCORED, DIRECTED])
    both = pytest.approx([0.0, 0.375, 0.125, 0.0, 0.5, 0.0], abs=1e-6)
    assert matrix[0].tolist() == both, "both networks count alike"
    assert not matrix[5].any()


def test_gradients_are_those_of_the_dense_matrix() -> None:
    torch.manual_seed(0)
    mean = NetworkMean([SCORED, DIRECTED], NUM_GENES).double()
    x = torch.randn(NUM_GENES, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(NUM_GENES, 3, dtype=torch.float64)
    (mean.spread(x, 0.7, 3) * weight).sum().backward()
    powers = sum(torch.linalg.matrix_power(0.7 * dense([SCORED, DIRECTED]), k) for k in range(4))
    torch.testing.assert_close(x.grad, powers.T @ weight, rtol=0, atol=1e-6)


def test_spread_solves_for_what_is_tied_to_the_neighbours() -> None:
    torch.manual_seed(0)
    own = torch.randn(NUM_GENES, 2, dtype=torch.float64)
    mean = NetworkMean([SCORED, DIRECTED], NUM_GENES).double()
    spread = mean.spread(own, 0.5, 60)
    exact = torch.linalg.solve(torch.eye(NUM_GENES).double() - 0.5 * dense([SCORED, DIRECTED]), own)
    torch.testing.assert_close(spread, exact, rtol=0, atol=1e-6)
    assert torch.equal(mean.spread(own, 0.0, 3), own)


def test_without_networks_nothing_is_near() -> None:
    x = torch.ones(NUM_GENES, 2)
    assert not NetworkMean([], NUM_GENES)(x).any()
    empty = Network("empty", np.zeros((2, 0), dtype=np.int64))
    assert torch.equal(NetworkMean([empty], NUM_GENES).spread(x, 0.5, 2), x)
