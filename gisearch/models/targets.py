"""What a batch of genotypes was measured to be, on the scale that models learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss


@dataclass(frozen=True)
class Targets:
    """The labels of B genotypes.

    Attributes:
        name: the label that the model is asked for, measured for every genotype.
        values: float32 [B] by label, NaN where not measured: every label that the data has, so that a
            model of several can learn from all. Standardised by the training split unless ``binary``.
        binary: the labels that are 0 or 1; a model scores them with logits.
    """

    name: str
    values: Mapping[str, Tensor]
    binary: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.main)

    def __getitem__(self, rows: Tensor | slice) -> Targets:
        """Return the labels of the genotypes at ``rows``."""
        return self.apply(lambda values: values[rows])

    @property
    def main(self) -> Tensor:
        """The values of the label that the model is asked for, [B]."""
        return self.values[self.name]

    @property
    def is_binary(self) -> bool:
        """Whether the label that the model is asked for is 0 or 1."""
        return self.name in self.binary

    def to(self, device: torch.device | str) -> Targets:
        """Return the labels on ``device``."""
        return self.apply(lambda values: values.to(device))

    def apply(self, change: Callable[[Tensor], Tensor]) -> Targets:
        """Return the labels with ``change`` applied to each one's values."""
        return Targets(self.name, {name: change(v) for name, v in self.values.items()}, self.binary)

    def loss(self, scores: Tensor) -> Tensor:
        """Return the mean loss of scores [B] against the main label: squared error, or cross-entropy."""
        return label_loss(scores, self.main, binary=self.is_binary)


def label_loss(scores: Tensor, values: Tensor, *, binary: bool) -> Tensor:
    """Return the mean squared error, or the mean binary cross-entropy of logits.

    Args:
        scores: [B], standardised predictions or logits.
        values: [B], standardised labels, or 0 and 1.
        binary: which of the two.
    """
    if binary:
        return binary_cross_entropy_with_logits(scores, values)
    return mse_loss(scores, values)
