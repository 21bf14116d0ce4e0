"""PairwiseKernel: kernel ridge regression on genotypes, by what genes are and how they interact.

A screen's strongest signal is its own: genes whose interactions look alike work in one pathway. A kernel
between genes says how alike two are, one between genotypes compares them gene by gene, and the prediction
is a weighted sum over the training genotypes, found by conjugate gradients that never build the n x n matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from typing import Any

import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.errors import CheckpointError, DataError
from gisearch.models.base import FittedModel, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.kernel import PairwiseKernelConfig
from gisearch.models.kernels.calibration import calibrated, uncalibrated
from gisearch.models.kernels.conjugate_gradients import ConjugateGradients
from gisearch.models.kernels.gene_kernel import GeneSimilarity
from gisearch.models.kernels.held_out import Fold, derived_folds, predict_folds, random_folds
from gisearch.models.kernels.machine import KernelMachine, machine_on
from gisearch.models.kernels.state import KernelState, training_places
from gisearch.models.targets import Targets


@plain_dataclass
class _Fit:
    """What fitting goes on with: the training genotypes as they were given, and where the solution stands.

    Attributes:
        batch: the training genotypes.
        targets: their labels.
        solver: conjugate gradients.
        diagonal: of the system, float64 [n].
    """

    batch: GenotypeBatch
    targets: Targets
    solver: ConjugateGradients
    diagonal: Tensor


class PairwiseKernel(FittedModel):
    """Scores genotypes by their similarity to every training genotype.

    Kernel ridge regression, which is the mean of a Gaussian process (Rasmussen and Williams 2006, Gaussian
    Processes for Machine Learning, MIT Press), on labels less the mean of their order.
    """

    def __init__(self, cell: CellGraph, target: Target, config: PairwiseKernelConfig) -> None:
        super().__init__()
        self.config, self.is_binary = config, target.kind == "binary"
        self.state = KernelState(cell.num_genes)
        self.num_genes = cell.num_genes
        # Divides the training part into folds, the same ones whenever the run goes on.
        self.seed = int(torch.randint(2**31 - 1, ()))
        self._similarity = GeneSimilarity(cell, config)
        self._machine: KernelMachine | None = None
        self._fit: _Fit | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes, with a standard deviation where ``std_neighbours`` asks for one.

        For a binary target it is that of the probability, from what the model does not know; for others that
        of a measurement, its noise included.
        """
        for parameter in self.state.parameters():
            self.monitor.watch("state", parameter)
        machine = self._prepared()
        if machine is None:
            return Prediction(self.monitor.watch("score", self.state.dual.new_zeros(len(batch))))
        genes = batch.deleted_or_none
        slope, offset, variance = self.state.calibration
        dual = self.state.dual.double()
        score = slope * machine.predict(dual, genes) + offset
        std = None
        if self.config.std_neighbours:
            spread = machine.variance(genes, self.config.std_neighbours)
            if self.is_binary:
                p = torch.sigmoid(score)
                std = p * (1.0 - p) * slope * (variance * spread).sqrt()
            else:
                std = (variance * (spread + self.config.ridge)).sqrt()
            std = self.monitor.watch("std", std.to(self.state.dual))
        return Prediction(self.monitor.watch("score", score.to(self.state.dual)), std)

    def scorer(self) -> Scorer:
        """Return what scores very many genotypes: pairs are looked up among all, computed once."""
        machine = self._prepared()
        if machine is None:
            return super().scorer()
        slope, offset, _ = self.state.calibration.clone()
        predict = machine.screen(self.state.dual.double())
        like = self.state.dual
        return Scorer(lambda deleted: (slope * predict(deleted) + offset).to(like))

    def fit_epoch(self, batch: GenotypeBatch, targets: Targets) -> float:
        """Take ``iterations`` steps of conjugate gradients; return the loss of the training part itself.

        Before the first one the folds are predicted that calibrate scores, and those are solved to the end.

        Raises:
            DataError: there are fewer than two training genotypes.
            CheckpointError: the loaded solution belongs to other genotypes.
        """
        fit = self._fit
        if fit is None or fit.batch is not batch or fit.targets is not targets:
            fit = self._fit = self._start(batch, targets)
        machine = self._prepared()
        assert machine is not None
        fit.solver.advance(
            machine.system(self.config.ridge),
            fit.diagonal,
            machine.centred,
            steps=self.config.iterations,
            tolerance=self.config.tolerance,
        )
        solver = fit.solver
        self.state.replace(dual=solver.solution, residual=solver.residual, direction=solver.direction)
        # K alpha is what the ridge and the residual leave of the labels: no further product.
        fitted = machine.labels - solver.residual - self.config.ridge * solver.solution
        slope, offset, _ = self.state.calibration
        return float(targets.loss((slope * fitted + offset).to(targets.main)))

    def describe_training(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Return the training genotypes' scores that calibrate, float64 [n, 1]; none knows its own label."""
        self._start(batch, targets)
        machine = self._prepared()
        assert machine is not None
        held = predict_folds(self._folds(machine), self.config)
        return torch.empty_like(held.scores).index_copy_(0, held.rows, held.scores).unsqueeze(1)

    def num_parameters(self) -> dict[str, int]:
        """Return the number of dual coefficients; none is trained by gradients."""
        return {"state": len(self.state), "total": len(self.state)}

    def _start(self, batch: GenotypeBatch, targets: Targets) -> _Fit:
        """Return where a new or a loaded solution stands."""
        if len(batch) < 2:
            raise DataError(
                f"model: 'kernel' needs at least 2 training genotypes to compare with; got {len(batch)}."
            )
        genes = batch.deleted_or_none
        labels = targets.main.double()
        place, local = training_places(genes, self.num_genes)
        if not len(self.state):
            self._begin(place, local, labels)
        elif not (
            torch.equal(self.state.genotypes(), local) and torch.equal(self.state.labels.double(), labels)
        ):
            raise CheckpointError(
                "the loaded kernel model cannot be continued with these training genotypes; expected those "
                "that the run was started with."
            )
        machine = self._prepared()
        assert machine is not None
        state = self.state
        solver = ConjugateGradients(state.dual.double(), state.residual.double(), state.direction.double())
        return _Fit(batch, targets, solver, machine.diagonal(self.config.ridge))

    def _begin(self, place: Tensor, genes: Tensor, labels: Tensor) -> None:
        zeros = labels.new_zeros(len(labels))
        self.state.replace(
            place=place, genes=genes, labels=labels, dual=zeros, residual=zeros, direction=zeros
        )
        self._machine = None
        machine = self._prepared()
        assert machine is not None
        begun = ConjugateGradients.start(machine.centred, machine.diagonal(self.config.ridge))
        self.state.replace(residual=begun.residual, direction=begun.direction)
        slope, offset = uncalibrated(labels, binary=self.is_binary)
        variance = labels.var().item() / (1.0 + self.config.ridge)
        if self.config.calibration_folds:
            held = predict_folds(self._folds(machine), self.config)
            slope, offset = calibrated(held.scores, held.labels, binary=self.is_binary)
            variance = held.variance if held.variance is not None else variance
        self.state.replace(calibration=torch.tensor([slope, offset, variance], device=labels.device))

    def _folds(self, machine: KernelMachine) -> Iterator[Fold]:
        if self._fold is None:
            return random_folds(machine, self.config.calibration_folds, self.seed)
        siblings = [s for s in self._siblings if isinstance(s, PairwiseKernel)]
        return derived_folds(self._fold, (self._machine_on(s._similarity) for s in siblings))

    def _prepared(self) -> KernelMachine | None:
        """Return the kernels on the state's training part, computed once; None before there is one."""
        if not len(self.state):
            return None
        if self._machine is None or self._machine.labels.device != self.state.place.device:
            self._machine = self._machine_on(self._similarity)
        return self._machine

    def _machine_on(self, similarity: GeneSimilarity) -> KernelMachine:
        return machine_on(similarity, self.state, self.config, binary=self.is_binary)


def _forget(model: PairwiseKernel, _: Any) -> None:
    """A solution was loaded: what has been computed does not belong to it."""
    model._fit = model._machine = None
