"""Training genotypes predicted from the others: what a solution says of labels that did not enter it.

A solution's scores of its own training genotypes know their labels, twice: by the dual coefficients, and by
the profiles. A fold's genotypes are therefore taken out of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from gisearch.models.config.kernel import PairwiseKernelConfig
from gisearch.models.kernels.machine import KernelMachine

# The training genotypes of a fold, and kernels on the whole training part; what else these read knows none
# of the fold's labels.
Fold: TypeAlias = tuple[Tensor, KernelMachine]

# Genotypes of a fold whose spread is compared with its prediction.
_COMPARED = 256


@dataclass(frozen=True)
class HeldOut:
    """Predictions of the training genotypes from the other folds.

    Attributes:
        rows: int64 [n], the training genotypes in the order of the folds.
        scores: float64 [n], in that order.
        labels: float64 [n], likewise.
        variance: of the kernel, such that spreads are as wide as errors; None without spreads.
    """

    rows: Tensor
    scores: Tensor
    labels: Tensor
    variance: float | None


def random_folds(machine: KernelMachine, count: int, seed: int) -> Iterator[Fold]:
    """Divide a training part into ``count`` folds at random."""
    size = len(machine.labels)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    for held in order.to(machine.labels.device).tensor_split(min(count, size)):
        yield held, machine


def derived_folds(fold: Tensor, machines: Iterable[KernelMachine]) -> Iterator[Fold]:
    """Take the folds that networks were derived for, each with kernels on what was derived from the others.

    Args:
        fold: the fold of every training genotype, int64 [n].
        machines: the kernels on the training part by fold, on the cell graph of that fold.
    """
    for i, machine in enumerate(machines):
        yield (fold == i).nonzero().squeeze(1), machine


def without(machine: KernelMachine, held: Tensor) -> KernelMachine:
    """Return the kernels on the training genotypes that are not held out."""
    rest = torch.ones_like(machine.labels, dtype=torch.bool)
    rest[held] = False
    return machine.part(rest.nonzero().squeeze(1))


def predict_folds(folds: Iterable[Fold], config: PairwiseKernelConfig) -> HeldOut:
    """Predict every fold of a training part from the others."""
    rows, scores, labels, errors, spreads = [], [], [], [], []
    for held, machine in folds:
        part = without(machine, held)
        genes = machine.genes_of(held)
        scores.append(part.predict(part.solve(), genes))
        rows.append(held)
        labels.append(machine.labels[held])
        if config.std_neighbours:
            some = slice(0, _COMPARED)
            errors.append((labels[-1] - scores[-1])[some].square())
            spreads.append(part.variance(genes[some], config.std_neighbours) + config.ridge)
    variance = (torch.cat(errors).mean() / torch.cat(spreads).mean()).item() if errors else None
    return HeldOut(torch.cat(rows), torch.cat(scores), torch.cat(labels), variance)
