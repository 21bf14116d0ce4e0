"""Products with the genotypes' kernel that never build it, against those with the whole matrix."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
import torch
from torch import Tensor

from gisearch.models.kernels import anova, triples
from gisearch.models.kernels.anova import AnovaKernel, OrderWeights
from gisearch.models.kernels.conjugate_gradients import ConjugateGradients
from gisearch.models.kernels.genotype_sets import GenotypeSets

GENES = 12


def genotypes(count: int, orders: tuple[int, ...], seed: int, genes: int = GENES) -> Tensor:
    """Random genotypes, padded with -1 at any place."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.full((count, 3), -1)
    for i in range(count):
        order = orders[i % len(orders)]
        chosen = torch.randperm(genes, generator=generator)[:order]
        table[i, torch.randperm(3, generator=generator)[:order]] = chosen
    return table


def table_of(rows: int, columns: int = GENES) -> Tensor:
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(rows))


def explicit(table: Tensor, left: Tensor, right: Tensor, weights: tuple[float, float, float]) -> Tensor:
    """The kernel, subset by subset and permutation by permutation."""

    def entry(g: list[int], h: list[int]) -> float:
        total = 0.0
        for size, weight in enumerate(weights, 1):
            for p in combinations(g, size):
                for other in combinations(h, size):
                    for q in permutations(other):
                        total += weight * table[list(p), list(q)].prod().item()
        return total

    lists = [[[g for g in genes if g >= 0] for genes in some.tolist()] for some in (left, right)]
    return torch.tensor([[entry(g, h) for h in lists[1]] for g in lists[0]], dtype=torch.float64)


@pytest.mark.parametrize("orders", [(1,), (2,), (3,), (1, 2, 3)])
@pytest.mark.parametrize("weights", [(0.3, 1.0, 0.7), (0.0, 1.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.0, 1.0)])
def test_products_are_those_of_the_whole_matrix(
    orders: tuple[int, ...], weights: tuple[float, float, float]
) -> None:
    training, asked = genotypes(17, orders, 0), genotypes(9, (1, 2, 3), 1, genes=7)
    table, vector = table_of(7), torch.randn(17, dtype=torch.float64)
    kernel = AnovaKernel(GenotypeSets.of(training), GENES, OrderWeights(*weights))
    whole = explicit(table, asked, training, weights)
    function, sets = kernel.combine(vector), GenotypeSets.of(asked)
    torch.testing.assert_close(kernel.evaluate(function, table, sets), whole @ vector, rtol=0, atol=1e-8)
    torch.testing.assert_close(kernel.tabulate(function, table)(sets), whole @ vector, rtol=0, atol=1e-8)
    built = kernel.at(table, asked.unsqueeze(1), training.unsqueeze(0))
    torch.testing.assert_close(built, whole, rtol=0, atol=1e-8)


def test_the_diagonal_is_that_of_the_matrix() -> None:
    training, weights = genotypes(17, (1, 2, 3), 0), (0.3, 1.0, 0.7)
    root = table_of(GENES)
    kernel = AnovaKernel(GenotypeSets.of(training), GENES, OrderWeights(*weights))
    expected = explicit(root @ root.T, training, training, weights).diagonal()
    torch.testing.assert_close(kernel.diagonal(root @ root.T, kernel.training), expected, rtol=0, atol=1e-8)


def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    training = genotypes(60, (2, 3), 0)
    kernel = AnovaKernel(GenotypeSets.of(training), GENES, OrderWeights(0.1, 1.0, 1.0))
    table, vector = table_of(GENES), torch.randn(60, dtype=torch.float64)
    whole = kernel.evaluate(kernel.combine(vector), table, kernel.training)
    for module in (anova, triples):
        monkeypatch.setattr(module, "_BLOCK", 24)
    monkeypatch.setattr(anova, "_DENSE", 0)
    monkeypatch.setattr(anova, "_FILLED", 0)
    parts = kernel.evaluate(kernel.combine(vector), table, kernel.training)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-10)


def test_few_anchors_serve_triples_that_share_a_pair() -> None:
    third = torch.arange(2, GENES)
    training = torch.stack([torch.zeros_like(third), third, torch.ones_like(third)], dim=1)
    kernel = AnovaKernel(GenotypeSets.of(training), GENES, OrderWeights(0.0, 0.0, 1.0))
    function = kernel.combine(torch.ones(len(third), dtype=torch.float64))
    assert function.triples is not None
    assert function.triples.shape == (1, GENES)


def test_a_product_holds_no_matrix_over_genotypes() -> None:
    count, genes = 20_000, 200
    training = GenotypeSets.of(torch.randint(genes, (count, 2), generator=torch.Generator().manual_seed(0)))
    kernel = AnovaKernel(training, genes, OrderWeights(0.1, 1.0, 0.0))
    table = table_of(genes, genes)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as seen:
        kernel.evaluate(kernel.combine(torch.ones(count, dtype=torch.float64)), table, training)
    largest = max(event.cpu_memory_usage for event in seen.events())
    assert 0 < largest < 100 * 2**20 < count**2 * 8 / 30


def test_conjugate_gradients_stop_and_go_on() -> None:
    root = table_of(30, 30)
    system, right = root @ root.T + torch.eye(30), table_of(1, 30)[0]
    solver = ConjugateGradients.start(right, system.diagonal())
    taken = 0
    for _ in range(40):
        taken += solver.advance(lambda v: system @ v, system.diagonal(), right, steps=7, tolerance=1e-12)
    torch.testing.assert_close(solver.solution, torch.linalg.solve(system, right), rtol=0, atol=1e-9)
    assert taken < 100, "what has converged takes no further step"
