"""Kernels of walks against matrix exponentials and powers of a dense adjacency."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.walk_kernel import WalkKernel, eigenvectors, walk_strengths

TABLE = np.array([[0, 1, -1], [1, 2, -1], [-1, 2, 4], [0, 1, 4], [3, -1, -1], [4, 0, -1], [5, 6, -1]])
WEIGHTS = torch.tensor([1.0, -0.5, 2.0, 0.4, 9.0, -1.0, 0.0], dtype=torch.float64)
NUM_GENES = 8


def adjacency() -> Tensor:
    """The normalised adjacency as it is defined, [N, N]."""
    found: dict[tuple[int, int], list[float]] = {}
    for row, weight in zip(TABLE, WEIGHTS, strict=True):
        for pair in combinations(sorted(g for g in row if g >= 0), 2):
            found.setdefault(pair, []).append(weight.item())
    a = torch.zeros(NUM_GENES, NUM_GENES, dtype=torch.float64)
    for (i, j), weights in found.items():
        a[i, j] = a[j, i] = sum(weights) / len(weights)
    degree = a.abs().sum(1)
    root = torch.where(degree > 0, degree, 1.0).sqrt()
    return a / root.unsqueeze(1) / root


def kernel_of(beta: float, kernels: tuple[str, ...], longest: int | None) -> WalkKernel:
    graph = eigenvectors(GenotypeBatch.from_table(TABLE), WEIGHTS, NUM_GENES)
    vectors = torch.zeros(NUM_GENES, len(graph.genes), dtype=torch.float64)
    vectors[graph.genes] = graph.vectors
    kernel = WalkKernel(NUM_GENES, len(kernels))
    kernel.replace(vectors, walk_strengths(graph.values, beta, kernels, longest))
    return kernel


@pytest.mark.parametrize("longest", [None, 1, 4, 5])
def test_kernels_are_sums_over_walks(longest: int | None) -> None:
    beta = 1.7
    pairs = np.array(list(combinations([0, 1, 2, 4], 2)))
    found = kernel_of(beta, ("odd", "even"), longest)(GenotypeBatch.from_table(pairs))
    for column, parity in enumerate((1, 0)):
        lengths = [k for k in range(60 if longest is None else longest + 1) if k % 2 == parity]
        weights = {k: beta**k / math.factorial(k) for k in lengths}
        walks = sum(w * torch.linalg.matrix_power(adjacency(), k) for k, w in weights.items())
        expected = torch.as_tensor(walks)[pairs[:, 0], pairs[:, 1]] / sum(weights.values())
        torch.testing.assert_close(found[:, column], expected, rtol=0, atol=1e-12)


def test_all_walks_are_the_matrix_exponential() -> None:
    whole = torch.linalg.matrix_exp(2.0 * adjacency())
    back = torch.linalg.matrix_exp(-2.0 * adjacency())
    pairs = np.array([[0, 2], [1, 4]])
    found = kernel_of(2.0, ("odd", "even"), None)(GenotypeBatch.from_table(pairs))
    sinh, cosh = (whole - back) / 2, (whole + back) / 2
    expected = torch.stack([sinh[[0, 1], [2, 4]] / math.sinh(2), cosh[[0, 1], [2, 4]] / math.cosh(2)], dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_triple_gets_its_pairs_mean_and_a_single_nothing() -> None:
    kernel = kernel_of(1.0, ("odd",), None)
    table = np.array([[0, 1, 2], [0, 1, -1], [0, 2, -1], [1, 2, -1], [4, -1, -1], [5, 6, -1]])
    triple, *pairs, single, unlinked = kernel(GenotypeBatch.from_table(table))[:, 0]
    torch.testing.assert_close(triple, torch.stack(pairs).mean())
    assert single == unlinked == 0


def test_a_state_of_another_size_is_loaded() -> None:
    full, other = kernel_of(1.0, ("odd", "even"), None), WalkKernel(NUM_GENES, 2).double()
    other.load_state_dict(full.state_dict())
    batch = GenotypeBatch.from_table(TABLE)
    assert torch.equal(other(batch), full(batch))
    with pytest.raises(RuntimeError, match="size mismatch"):
        WalkKernel(NUM_GENES + 1, 2).load_state_dict(full.state_dict())
