"""From scores to labels: a line for measured ones, a logistic curve for binary ones."""

from __future__ import annotations

import torch
from torch import Tensor

# Of the slope that the labels' own scale would give: scores of no use are not turned around.
_LEAST = 0.01
_STEPS = 100


def uncalibrated(labels: Tensor, *, binary: bool) -> tuple[float, float]:
    """Return slope and offset that take scores as they are; binary, to the logit around the labels' mean."""
    if not binary:
        return 1.0, 0.0
    mean = min(max(labels.mean().item(), 1e-3), 1.0 - 1e-3)
    slope = 1.0 / (mean * (1.0 - mean))
    return slope, torch.logit(torch.tensor(mean, dtype=torch.float64)).item() - slope * mean


def calibrated(scores: Tensor, labels: Tensor, *, binary: bool) -> tuple[float, float]:
    """Return slope and offset that fit scores of genotypes to labels that did not enter them.

    Binary labels: Platt scaling (Platt 1999, Advances in Large Margin Classifiers: 61), with his targets
    in place of 0 and 1, by Newton's method. Others: least squares.

    Args:
        scores: float64 [n].
        labels: float64 [n], 0 and 1 where binary.
        binary: which of the two.
    """
    slope, offset = uncalibrated(labels, binary=binary)
    least = _LEAST * slope
    centre, scale = scores.mean(), scores.std()
    if len(scores) < 3 or not scale > 1e-9 or labels.min() == labels.max():
        return slope, offset
    design = torch.stack([(scores - centre) / scale, torch.ones_like(scores)], dim=1)
    if binary:
        ones = labels.sum()
        high, low = (ones + 1.0) / (ones + 2.0), 1.0 / (len(labels) - ones + 2.0)
        found = _logistic(design, torch.where(labels > 0.5, high, low))
    else:
        found = torch.linalg.lstsq(design, labels.unsqueeze(1)).solution.squeeze(1)
    slope = max((found[0] / scale).item(), least)
    return slope, (found[1] - slope * centre).item()


def _logistic(design: Tensor, targets: Tensor) -> Tensor:
    """Return the coefficients of logistic regression, float64 [2], by damped Newton steps."""
    found = design.new_zeros(2)

    def loss(at: Tensor) -> Tensor:
        logit = design @ at
        return torch.nn.functional.binary_cross_entropy_with_logits(logit, targets)

    value = loss(found)
    for _ in range(_STEPS):
        p = torch.sigmoid(design @ found)
        gradient = design.T @ (p - targets) / len(targets)
        curvature = (design.T * (p * (1.0 - p))) @ design / len(targets)
        step = torch.linalg.solve(curvature + 1e-10 * torch.eye(2).to(curvature), gradient)
        length = 1.0
        while loss(found - length * step) > value and length > 1e-6:
            length /= 2.0
        found = found - length * step
        before, value = value, loss(found)
        if before - value < 1e-14:
            break
    return found
