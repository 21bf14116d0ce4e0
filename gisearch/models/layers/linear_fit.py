"""The weights of a few features, fitted exactly: least squares, or logistic regression for a binary label."""

from __future__ import annotations

import torch
from torch import Tensor

# One more genotype's worth of evidence for a weight of zero: finite weights where a feature tells all.
_RIDGE = 1.0
_STEPS = 100
_ENOUGH = 1e-10


def fit_weights(features: Tensor, labels: Tensor, *, binary: bool) -> Tensor:
    """Return the weights that minimise the squared errors of scores, or the log loss of logits, [F].

    Weights of standardised features are held small by a ridge of one genotype; that of a feature without
    spread, as an intercept is, is not. Newton's method with halved steps; for squared errors that is one step
    (Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, section 4.4.1).

    Args:
        features: float64 [B, F]; a column of ones for an intercept.
        labels: float64 [B], standardised values, or 0 and 1.
        binary: which of the two.
    """
    spread = features.std(0, correction=0)
    varies = spread > 1e-12 * features.abs().amax(0)
    scale = torch.where(varies, spread, 1.0)
    x = features / scale
    ridge = torch.where(varies, _RIDGE, 0.0)
    weights = x.new_zeros(x.shape[1])
    cost = _cost(x, labels, weights, ridge, binary)
    for _ in range(_STEPS):
        score = x @ weights
        expected = torch.sigmoid(score) if binary else score
        curvature = expected * (1 - expected) if binary else torch.ones_like(score)
        gradient = x.T @ (expected - labels) + ridge * weights
        hessian = (x * curvature.unsqueeze(1)).T @ x + torch.diag(ridge)
        # A feature that is zero everywhere has no curvature, and least norm leaves its weight at zero.
        step = torch.linalg.lstsq(hessian, gradient, driver="gelsd").solution
        following = weights - step
        reached = _cost(x, labels, following, ridge, binary)
        while reached > cost and step.abs().max() > _ENOUGH:
            step = step / 2
            following = weights - step
            reached = _cost(x, labels, following, ridge, binary)
        if reached > cost:
            break
        weights, cost = following, reached
        if step.abs().max() <= _ENOUGH:
            break
    return weights / scale


def _cost(x: Tensor, labels: Tensor, weights: Tensor, ridge: Tensor, binary: bool) -> Tensor:
    score = x @ weights
    log_loss = torch.nn.functional.softplus(score) - labels * score
    losses = log_loss if binary else (score - labels).square() / 2
    return losses.sum() + (ridge * weights.square()).sum() / 2
