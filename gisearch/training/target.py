"""Between a label's own units and what a model learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gisearch.data.dataset import Dataset
from gisearch.models.targets import Targets


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
    def fit(cls, dataset: Dataset, label: str | None = None) -> TargetScale:
        """Fit on the training split alone, for the target or for another label of the data."""
        name = dataset.target.name if label is None else label
        binary = name in dataset.genotypes.binary if label is not None else dataset.target.kind == "binary"
        if binary:
            return cls("binary")
        values = dataset.genotypes.labels[name][dataset.split.train].astype(np.float64)
        values = values[~np.isnan(values)]
        if len(values) == 0:
            return cls("regression")
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


def training_targets(dataset: Dataset) -> Targets:
    """Return every label of the training split, on the scale that models learn."""
    rows = dataset.split.train
    names = [n for n in dataset.genotypes.labels if not n.endswith(("_std", "_p"))]
    scales = {name: TargetScale.fit(dataset, name) for name in names}
    scales[dataset.target.name] = TargetScale.fit(dataset)
    return Targets(
        dataset.target.name,
        {
            name: scale.to_model(torch.from_numpy(dataset.genotypes.labels[name][rows]))
            for name, scale in scales.items()
        },
        frozenset(name for name, scale in scales.items() if scale.kind == "binary"),
    )
