"""The sorted form of supervised contrastive regression, against its definition in loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gisearch.models.losses.supcr import supervised_contrastive_regression as supcr


def by_definition(embeddings: Tensor, labels: Tensor, temperature: float) -> float:
    """Equation 1 of Zha et al. 2022 on one view, pair by pair."""
    v, y, n = embeddings.tolist(), labels.tolist(), len(labels)

    def similarity(i: int, j: int) -> float:
        return -math.dist(v[i], v[j]) / temperature

    total = 0.0
    for i in range(n):
        for j in range(n):
            if j == i:
                continue
            rivals = [k for k in range(n) if k != i and abs(y[i] - y[k]) >= abs(y[i] - y[j])]
            total -= similarity(i, j) - math.log(sum(math.exp(similarity(i, k)) for k in rivals))
    return total / (n * (n - 1))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("labels", ["different", "tied", "binary", "equal"])
def test_equals_its_definition(labels: str, temperature: float) -> None:
    torch.manual_seed(1)
    embeddings = torch.randn(9, 4, dtype=torch.float64)
    values = {
        "different": torch.randn(9, dtype=torch.float64),
        "tied": torch.tensor([0, 1, 2, 0, 1, 2, 2, 3, 3], dtype=torch.float64),
        "binary": torch.tensor([0, 1, 1, 0, 0, 1, 0, 1, 0], dtype=torch.float64),
        "equal": torch.zeros(9, dtype=torch.float64),
    }[labels]
    expected = by_definition(embeddings, values, temperature)
    assert supcr(embeddings, values, temperature).item() == pytest.approx(expected, rel=1e-10)


def test_two_are_always_nearest_to_each_other() -> None:
    assert supcr(torch.randn(2, 3), torch.tensor([0.0, 1.0]), 2.0).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("size", [0, 1])
def test_of_fewer_than_two_is_zero_with_a_gradient_of_zero(size: int) -> None:
    embeddings = torch.ones(size, 3, requires_grad=True)
    loss = supcr(embeddings, torch.zeros(size), 2.0)
    loss.backward()
    assert loss == 0
    assert torch.equal(embeddings.grad, torch.zeros(size, 3))


def test_equal_embeddings_have_a_finite_gradient() -> None:
    embeddings = torch.ones(5, 3, requires_grad=True)
    supcr(embeddings, torch.arange(5.0), 2.0).backward()
    assert torch.isfinite(embeddings.grad).all()


def test_far_embeddings_do_not_overflow() -> None:
    embeddings = (torch.randn(6, 3) * 1e4).requires_grad_()
    loss = supcr(embeddings, torch.arange(6.0), 0.1)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()


def test_minimising_it_orders_embeddings_by_label() -> None:
    torch.manual_seed(0)
    labels = torch.arange(8.0)
    embeddings = torch.randn(8, 2).requires_grad_()
    optimizer = torch.optim.Adam([embeddings], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        supcr(embeddings, labels, 1.0).backward()
        optimizer.step()
    distance = torch.cdist(embeddings.detach(), embeddings.detach())
    apart = (labels.unsqueeze(1) - labels).abs()
    assert torch.corrcoef(torch.stack([distance.flatten(), apart.flatten()]))[0, 1] > 0.95
