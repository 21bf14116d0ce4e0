"""The metrics of ``gisearch.training.metrics`` on resampled genotypes: weights in place of copies.

A resample that holds a genotype three times is a weight of 3. All resamples of all runs are scored at once;
with weights of 1 the values are those of ``score`` (a test compares them).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gisearch.errors import ConfigError, nearest_name

Array = npt.NDArray[np.float64]

# Below this share of the measurements' spread predictions are constant, as for `score`.
_CONSTANT = 1e-9


def weighted_metric(
    metric: str, kind: str, predicted: Array, measured: Array, weights: Array, scale: float = 1.0
) -> Array:
    """Return the metric of every run on every resample, [B, R]; NaN where its labels do not allow it.

    Args:
        metric: a name of ``METRICS``.
        kind: ``regression`` or ``binary``.
        predicted: predictions in label units (probabilities for a binary target), float64 [R, G].
        measured: the labels, float64 [G].
        weights: how often each genotype counts, float64 [B, G].
        scale: the label's standard deviation in training, which the loss of a regression is in units of.

    Raises:
        ConfigError: there is no such metric.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == "pearson":
            return _pearson(predicted, measured, weights)
        if metric == "spearman":
            return _spearman(predicted, measured, weights)
        if metric == "auroc":
            return _auroc(predicted, measured, weights)
        if metric == "average_precision":
            return _average_precision(predicted, measured, weights)
        if metric == "loss" and kind == "binary":
            return _mean(_cross_entropy(predicted, measured), weights)
        squared = _mean((predicted - measured) ** 2, weights)
        if metric == "rmse":
            return np.sqrt(squared)
        if metric == "loss":
            return squared / scale**2
        if metric == "r2":
            mean = _mean(measured[None], weights)
            found: Array = 1 - squared / (_mean(measured[None] ** 2, weights) - mean**2)
            return found
    known = ("pearson", "spearman", "rmse", "r2", "auroc", "average_precision", "loss")
    raise ConfigError(f"unknown metric {metric!r}.{nearest_name(metric, known)}")


def _mean(values: Array, weights: Array) -> Array:
    """Return weighted means over genotypes: values [R, G], weights [B, G]; [B, R]."""
    found: Array = weights @ values.T / weights.sum(axis=1, keepdims=True)
    return found


def _pearson(predicted: Array, measured: Array, weights: Array) -> Array:
    # Centred and scaled first: raw labels have spreads of 1e-2 around means of 1.
    spread = measured.std()
    y = (measured - measured.mean()) / spread
    p = (predicted - predicted.mean(axis=1, keepdims=True)) / spread
    size = p.std(axis=1, keepdims=True)
    p = p / np.maximum(size, _CONSTANT)
    mean_y, mean_p = _mean(y[None], weights), _mean(p, weights)
    covariance = _mean(p * y, weights) - mean_p * mean_y
    variance_y = _mean(y[None] ** 2, weights) - mean_y**2
    variance_p = _mean(p**2, weights) - mean_p**2
    return _correlation(covariance, variance_p, variance_y)


def _correlation(covariance: Array, variance_p: Array, variance_y: Array) -> Array:
    # Labels of one value allow no correlation; of constant predictions it is 0 (see `score`).
    allowed = np.where(variance_y > 1e-12, 1.0, np.nan)
    safe = np.sqrt(np.maximum(variance_p, 1e-300) * np.maximum(variance_y, 1e-300))
    found: Array = np.where(variance_p > 1e-12, covariance / safe, 0.0) * allowed
    return found


def _spearman(predicted: Array, measured: Array, weights: Array) -> Array:
    total = weights.sum(axis=1)
    ranks_y = _ranks(measured, weights)
    y = ranks_y / total[:, None] - 0.5
    columns = []
    for one in predicted:
        if np.ptp(one) / max(float(measured.std()), 1e-300) < _CONSTANT:
            one = np.zeros_like(one)
        p = _ranks(one, weights) / total[:, None] - 0.5
        mean_p, mean_y = _dot(weights, p) / total, _dot(weights, y) / total
        covariance = _dot(weights, p * y) / total - mean_p * mean_y
        variance_p = _dot(weights, p * p) / total - mean_p**2
        variance_y = _dot(weights, y * y) / total - mean_y**2
        columns.append(_correlation(covariance, variance_p, variance_y))
    return np.stack(columns, axis=1)


def _dot(a: Array, b: Array) -> Array:
    found: Array = np.einsum("bg,bg->b", a, b)
    return found


def _ranks(values: Array, weights: Array) -> Array:
    """Return the mean rank of every value among the resampled ones, ties sharing theirs, [B, G]."""
    order = np.argsort(values, kind="stable")
    _, first, inverse, counts = np.unique(
        values[order], return_index=True, return_inverse=True, return_counts=True
    )
    before = np.zeros((len(weights), len(values) + 1))
    np.cumsum(weights[:, order], axis=1, out=before[:, 1:])
    shared = (before[:, first] + before[:, first + counts] + 1) / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = shared[:, inverse]
    return ranks


def _auroc(predicted: Array, measured: Array, weights: Array) -> Array:
    """Return the area under the receiver operating characteristic, by Mann and Whitney's U."""
    positive = weights * (measured > 0.5)
    ones = positive.sum(axis=1)
    zeros = weights.sum(axis=1) - ones
    columns = [
        (_dot(positive, _ranks(one, weights)) - ones * (ones + 1) / 2) / (ones * zeros) for one in predicted
    ]
    return np.where((ones * zeros > 0)[:, None], np.stack(columns, axis=1), np.nan)


def _average_precision(predicted: Array, measured: Array, weights: Array) -> Array:
    """Return the sum over thresholds of precision times the gain in recall."""
    positive = measured > 0.5
    ones = (weights * positive).sum(axis=1)

    def columns() -> Iterator[Array]:
        for one in predicted:
            order = np.argsort(-one, kind="stable")
            # The last genotype of every group of equal predictions.
            ends = np.flatnonzero(np.append(np.diff(-one[order]) > 0, True))
            drawn = weights[:, order]
            everything = np.cumsum(drawn, axis=1)[:, ends]
            found = np.cumsum(drawn * positive[order], axis=1)[:, ends]
            gained = np.diff(found, axis=1, prepend=0.0)
            yield (gained * found / np.maximum(everything, 1e-300)).sum(axis=1) / ones

    possible = (ones > 0) & (ones < weights.sum(axis=1))
    return np.where(possible[:, None], np.stack(list(columns()), axis=1), np.nan)


def _cross_entropy(predicted: Array, measured: Array) -> Array:
    # PyTorch's limit of a logarithm, so that a certain mistake is not infinite.
    with np.errstate(divide="ignore"):
        yes = np.maximum(np.log(predicted), -100.0)
        no = np.maximum(np.log1p(-predicted), -100.0)
    found: Array = -(measured * yes + (1 - measured) * no)
    return found
