"""Sorting against every way to pair two samples."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from gisearch.models.losses.wasserstein import squared_wasserstein


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [2, 3, 6])
def test_is_the_cheapest_of_all_pairings(size: int, seed: int) -> None:
    torch.manual_seed(seed)
    predicted, measured = torch.randn(2, size)
    measured[0] = measured[1]
    cheapest = min((predicted - measured[list(order)]).square().mean() for order in permutations(range(size)))
    torch.testing.assert_close(squared_wasserstein(predicted, measured), cheapest)


def test_of_a_shifted_sample_in_another_order_is_the_squared_shift() -> None:
    sample = torch.randn(50)
    shifted = sample[torch.randperm(50)] + 3.0
    torch.testing.assert_close(squared_wasserstein(shifted, sample), torch.tensor(9.0))


@pytest.mark.parametrize("size", [0, 1])
def test_of_fewer_than_two_is_zero_with_a_gradient_of_zero(size: int) -> None:
    predicted = torch.ones(size, requires_grad=True)
    loss = squared_wasserstein(predicted, torch.zeros(size))
    loss.backward()
    assert loss == 0
    assert torch.equal(predicted.grad, torch.zeros(size))


def test_its_gradient_moves_predictions_to_the_labels_of_their_rank() -> None:
    predicted = torch.tensor([2.0, 0.0, 1.0], requires_grad=True)
    squared_wasserstein(predicted, torch.tensor([5.0, 1.0, 3.0])).backward()
    torch.testing.assert_close(predicted.grad, torch.tensor([2 / 3 * (2 - 5), 2 / 3 * -1, 2 / 3 * (1 - 3)]))
