"""Weights of features against scikit-learn and the normal equations."""

from __future__ import annotations

import torch

from gisearch.models.layers.linear_fit import fit_weights


def features() -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(300, 4, dtype=torch.float64) * torch.tensor([1.0, 1e-4, 1e3, 0.0], dtype=torch.float64)
    x[:, 3] = 1.0
    return x


def test_squared_errors_are_a_ridge_on_standardised_features() -> None:
    x = features()
    labels = x @ torch.tensor([1.0, 3e4, -2e-3, 0.5], dtype=torch.float64) + torch.randn(300).double()
    penalty = torch.diag(torch.cat([x[:, :3].var(0, correction=0), torch.zeros(1)]))
    expected = torch.linalg.solve(x.T @ x + penalty, x.T @ labels)
    torch.testing.assert_close(fit_weights(x, labels, binary=False), expected, rtol=1e-6, atol=0)


def test_the_log_loss_is_minimal_as_scikit_learn_finds_it() -> None:
    from sklearn.linear_model import LogisticRegression

    x = features()
    labels = (x[:, 0] + 1e4 * x[:, 1] + torch.randn(300).double() > 0.3).double()
    found = fit_weights(x, labels, binary=True)
    scale = x[:, :3].std(0, correction=0)
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    reference.fit((x[:, :3] / scale).numpy(), labels.numpy())
    expected = torch.cat([torch.from_numpy(reference.coef_[0]) / scale, torch.tensor(reference.intercept_)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_feature_that_tells_all_or_nothing_gets_a_finite_weight() -> None:
    labels = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    x = torch.stack([10 * labels - 5, torch.zeros(4).double(), torch.ones(4).double()], dim=1)
    weights = fit_weights(x, labels, binary=True)
    assert torch.isfinite(weights).all()
    assert weights[0] > 0.1
    assert abs(weights[1]) < 1e-12
    assert abs(weights[2]) < 1e-6
