"""Scores of predictions against measurements."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Coverage metrics by name, and half the width of their nominal interval in standard deviations of a Gaussian.
COVERAGES: dict[str, float] = {"coverage_50": 0.6744897501960817, "coverage_90": 1.6448536269514722}


def load_metrics(kind: str) -> None:
    """Import now what scoring this kind of target needs, so that no epoch is timed with it."""
    if kind == "binary":
        import sklearn.metrics  # noqa: F401


def is_measurable(measured: Tensor) -> bool:
    """Whether metrics exist for these labels at all: they need two different values."""
    return len(measured) > 1 and bool(measured.min() != measured.max())


def score(kind: str, predicted: Tensor, measured: Tensor) -> dict[str, float]:
    """Return every metric of one set of predictions; without a prefix, and without the loss.

    A correlation with constant predictions is reported as 0: it says that nothing was learnt. A metric
    that the measurements do not allow (one class only, fewer than two values) is left out.

    Args:
        kind: ``regression`` or ``binary``.
        predicted: predictions in label units (probabilities for a binary target), [n].
        measured: the labels, [n].
    """
    if not is_measurable(measured):
        return {}
    if kind == "binary":
        # Imported late: it takes seconds, and only binary targets need it.
        from sklearn.metrics import average_precision_score, roc_auc_score

        labels, scores = measured.cpu().numpy(), predicted.cpu().numpy()
        return {
            "auroc": float(roc_auc_score(labels, scores)),
            "average_precision": float(average_precision_score(labels, scores)),
        }
    # Double precision and standardised: raw labels have spreads of 1e-2 around means of 1.
    predicted, measured = predicted.double(), measured.double()
    centre, spread = measured.mean(), measured.std()
    predicted, measured = (predicted - centre) / spread, (measured - centre) / spread
    constant = bool(predicted.max() - predicted.min() < 1e-9)
    error = (predicted - measured).square()
    return {
        "pearson": 0.0 if constant else _correlation(predicted, measured),
        "spearman": 0.0 if constant else _correlation(_ranks(predicted), _ranks(measured)),
        "rmse": (error.mean().sqrt() * spread).item(),
        "r2": 1 - (error.sum() / (measured - measured.mean()).square().sum()).item(),
    }


def calibration(predicted: Tensor, std: Tensor, measured: Tensor) -> dict[str, float]:
    """Return how well predicted Gaussians describe the measurements; for models that predict a spread.

    ``coverage_50`` and ``coverage_90`` are the shares of measurements within the central 50 % and 90 %
    intervals, ``mean_std`` the mean predicted standard deviation, and ``crps`` the mean continuous ranked
    probability score (Gneiting and Raftery 2007), in label units, less is better; of predictions without
    spread it is the mean absolute error. They are recorded and are no objectives: not every model has them.

    Args:
        predicted: predicted means in label units, [n].
        std: predicted standard deviations in label units, [n].
        measured: the labels, [n].
    """
    error, spread = (measured - predicted).double(), std.double().clamp_min(1e-12)
    z = error / spread
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    crps = spread * (z * (2 * torch.special.ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return {
        **{name: (z.abs() <= reach).double().mean().item() for name, reach in COVERAGES.items()},
        "mean_std": std.double().mean().item(),
        "crps": crps.mean().item(),
    }


def _correlation(a: Tensor, b: Tensor) -> float:
    return torch.corrcoef(torch.stack((a, b)))[0, 1].item()


def _ranks(values: Tensor) -> Tensor:
    # Equal values share the mean of their ranks.
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ranks: Tensor = counts.cumsum(0) - (counts - 1).double() / 2
    return ranks[inverse]


def score_subgroups(
    kind: str, predicted: Tensor, measured: Tensor, groups: dict[str, Tensor]
) -> dict[str, float]:
    """Return the metrics of each subgroup as ``<group>/<metric>``; empty subgroups are left out.

    Args:
        kind: ``regression`` or ``binary``.
        predicted: [n].
        measured: [n].
        groups: bool [n] per subgroup name.
    """
    return {
        f"{name}/{metric}": value
        for name, rows in groups.items()
        if torch.any(rows)
        for metric, value in score(kind, predicted[rows], measured[rows]).items()
    }
