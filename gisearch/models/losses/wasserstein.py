"""The distance between the distributions of predictions and labels in a batch."""

from __future__ import annotations

from torch import Tensor


def squared_wasserstein(predicted: Tensor, measured: Tensor) -> Tensor:
    """Return the squared Wasserstein-2 distance of two samples of the same size, a scalar.

    On a line the best coupling pairs the i-th smallest with the i-th smallest, so that sorting is exact
    (Peyre and Cuturi 2019, arXiv 1803.00567, section 2.6). Squared, because the root has no gradient at zero.
    Fewer than two values have no distribution to compare and give zero.

    Args:
        predicted: [n].
        measured: [n].
    """
    if len(predicted) < 2:
        return predicted.sum() * 0.0
    return (predicted.sort().values - measured.sort().values).square().mean()
