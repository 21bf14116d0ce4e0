"""What the composite loss adds up, over measured labels only."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from gisearch.models.losses import composite
from gisearch.models.losses.composite import CompositeLoss
from gisearch.models.losses.config import CompositeLossConfig
from gisearch.models.losses.supcr import supervised_contrastive_regression
from gisearch.models.losses.wasserstein import squared_wasserstein

PLAIN = CompositeLoss(CompositeLossConfig(distribution=0.0, contrast=0.0, cell=0.0))


def test_is_the_weighted_sum_over_measured_genotypes() -> None:
    torch.manual_seed(0)
    scores, values, embeddings = torch.randn(8), torch.randn(8), torch.randn(8, 3)
    values[[1, 4]] = torch.nan
    there = ~values.isnan()
    config = CompositeLoss(CompositeLossConfig(distribution=0.3, contrast=0.7, temperature=1.5))
    expected = (
        mse_loss(scores[there], values[there])
        + 0.3 * squared_wasserstein(scores[there], values[there])
        + 0.7 * supervised_contrastive_regression(embeddings[there], values[there], 1.5)
    )
    torch.testing.assert_close(config.of_label(scores, embeddings, values, binary=False), expected)


def test_a_binary_label_has_cross_entropy_and_compares_probabilities() -> None:
    scores, values, embeddings = torch.randn(6), torch.tensor([0.0, 1, 1, 0, 1, 0]), torch.randn(6, 3)
    config = CompositeLoss(CompositeLossConfig(distribution=0.5, contrast=0.0))
    expected = binary_cross_entropy_with_logits(scores, values)
    expected = expected + 0.5 * squared_wasserstein(torch.sigmoid(scores), values)
    torch.testing.assert_close(config.of_label(scores, embeddings, values, binary=True), expected)


@pytest.mark.parametrize("measured", [0, 1])
@pytest.mark.parametrize("binary", [False, True])
def test_a_batch_with_none_or_one_measured_is_finite(measured: int, binary: bool) -> None:
    scores = torch.full((4,), 0.5, requires_grad=True)
    embeddings = torch.ones(4, 3, requires_grad=True)
    values = torch.tensor([1.0] * measured + [torch.nan] * (4 - measured))
    every = CompositeLoss(CompositeLossConfig(distribution=1.0, contrast=1.0))
    loss = every.of_label(scores, embeddings, values, binary=binary)
    torch.testing.assert_close(loss, PLAIN.of_label(scores, embeddings, values, binary=binary))
    assert (loss > 0) == (measured == 1), "one measured label still has an error of its own"
    loss.backward()
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad != 0).sum() == measured


def test_a_weight_of_zero_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(composite, "squared_wasserstein")
    monkeypatch.delattr(composite, "supervised_contrastive_regression")
    monkeypatch.delattr(composite, "mse_loss")
    scores, values = torch.randn(2, 5)
    torch.testing.assert_close(
        PLAIN.of_label(scores, torch.randn(5, 2), values, binary=False), mse_loss(scores, values)
    )
    assert PLAIN.of_cell(torch.randn(5, 2), torch.randn(5, 2)) == 0


def test_the_cell_term_is_the_weighted_squared_distance() -> None:
    change, perturbed = torch.randn(2, 5, 3)
    loss = CompositeLoss(CompositeLossConfig(cell=0.2)).of_cell(change, perturbed)
    torch.testing.assert_close(loss, 0.2 * (change - perturbed).square().mean())
