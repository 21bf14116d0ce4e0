"""Training genotypes predicted from the others: what a solution says of labels that did not enter it.

A solution's scores of its own training genotypes know their labels, twice: by the dual coefficients, and by
the profiles. A fold's genotypes are therefore taken out of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gisearch.models.config.kernel import PairwiseKernelConfig
from gisearch.models.kernels.machine import KernelMachine

# Genotypes of a fold whose spread is compared with its prediction.
_COMPARED = 256


@dataclass(frozen=True)
class HeldOut:
    """Predictions of the training genotypes from the other folds.

    Attributes:
        scores: float64 [n], in the order of the folds.
        labels: float64 [n].
        variance: of the kernel, such that spreads are as wide as errors; None without spreads.
    """

    scores: Tensor
    labels: Tensor
    variance: float | None


def predict_folds(machine: KernelMachine, config: PairwiseKernelConfig, seed: int) -> HeldOut:
    """Predict every fold of a training part from the others."""
    size = len(machine.labels)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    folds = order.to(machine.labels.device).tensor_split(min(config.calibration_folds, size))
    scores, errors, spreads = [], [], []
    for i, held in enumerate(folds):
        rest = torch.cat([fold for j, fold in enumerate(folds) if j != i]).sort().values
        part = machine.part(rest)
        genes = machine.genes_of(held)
        scores.append(part.predict(part.solve(), genes))
        if config.std_neighbours:
            some = slice(0, _COMPARED)
            errors.append((machine.labels[held] - scores[-1])[some].square())
            spreads.append(part.variance(genes[some], config.std_neighbours) + config.ridge)
    variance = (torch.cat(errors).mean() / torch.cat(spreads).mean()).item() if errors else None
    return HeldOut(torch.cat(scores), torch.cat([machine.labels[fold] for fold in folds]), variance)
