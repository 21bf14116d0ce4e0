"""Between a label's own units and what a model learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from gisearch.data.dataset import Dataset


@dataclass(frozen=True)
class TargetScale:
    """Standardises a regression target by its training split; leaves a binary one as it is.

    Attributes:
        kind: ``regression`` or ``binary``.
        mean: the training split's mean, in the label's units; 0 for a binary target.
        std: the training split's standard deviation; 1 for a binary target.
    """

    kind: Literal["regression", "binary"]
    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def fit(cls, dataset: Dataset) -> TargetScale:
        """Fit on the training split alone."""
        if dataset.target.kind == "binary":
            return cls("binary")
        values = dataset.values("train").astype(np.float64)
        # Of equal values rounding makes the standard deviation tiny instead of zero.
        std = 1.0 if values.min() == values.max() else float(values.std())
        return cls("regression", float(values.mean()), std)

    def to_model(self, values: Tensor) -> Tensor:
        """From label units to the model's scale."""
        return (values - self.mean) / self.std

    def from_model(self, scores: Tensor) -> Tensor:
        """From the model's scale to label units; for a binary target the probability of 1."""
        if self.kind == "binary":
            return torch.sigmoid(scores)
        return scores * self.std + self.mean

    def criterion(self, scores: Tensor, target: Tensor) -> Tensor:
        """Mean squared error, or binary cross-entropy on logits."""
        if self.kind == "binary":
            return binary_cross_entropy_with_logits(scores, target)
        return mse_loss(scores, target)
