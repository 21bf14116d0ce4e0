"""StackedTrees: boosted trees on what a kernel model and the votes of similar genes say of a genotype.

A kernel weighs all evidence alike. How much it is worth depends: a score from many similar genes with many
measured pairs is worth more than one from a few. Trees learn that from training genotypes that the kernel is
asked about without having seen their labels (stacked generalisation: Wolpert 1992, Neural Networks 5: 241).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.batch import GenotypeBatch
from gisearch.models.boosted_trees import BoostedTrees
from gisearch.models.config.stacked_trees import StackedTreesConfig
from gisearch.models.kernels.gene_kernel import GeneSimilarity
from gisearch.models.kernels.held_out import Fold, derived_folds, random_folds, without
from gisearch.models.kernels.machine import KernelMachine, machine_on
from gisearch.models.kernels.state import KernelState, training_places
from gisearch.models.kernels.votes import PairVotes
from gisearch.models.targets import Targets


class StackedTrees(BoostedTrees):
    """Boosted trees that read a kernel model's score, the votes of similar genes, and the networks."""

    def __init__(self, cell: CellGraph, target: Target, config: StackedTreesConfig) -> None:
        super().__init__(cell, target, config)
        self.stack = config
        self.state = KernelState(cell.num_genes)
        self.similarity = GeneSimilarity(cell, config.kernel)
        self._votes: PairVotes | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def describe(self, batch: GenotypeBatch) -> Tensor:
        """Return the features of B genotypes, float64 [B, F]."""
        for parameter in self.state.parameters():
            self.monitor.watch("state", parameter)
        votes = self._prepared()
        if votes is None:
            return super().describe(batch)
        described = votes.of(batch.deleted_or_none)
        if not self.stack.network_features:
            return described
        return torch.cat([described, super().describe(batch)], dim=1)

    def describe_training(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Return the training genotypes' features, float64 [n, F]; none knows its own label."""
        genes, labels = batch.deleted_or_none, targets.main.double()
        place, local = training_places(genes, len(self.state.place))
        if not len(self.state):
            zeros = torch.zeros_like(labels)
            # Conjugate gradients go to their end here: there is nothing to continue.
            self.state.replace(
                place=place, genes=local, labels=labels, dual=zeros, residual=zeros, direction=zeros
            )
            self.state.replace(dual=self._machine(self.similarity).solve())
            self._votes = None
        described: Tensor | None = None
        for held, machine in self._held_out():
            part = without(machine, held)
            rows = PairVotes(part, part.solve()).of(genes[held])
            described = rows.new_empty(len(labels), rows.shape[1]) if described is None else described
            described[held] = rows
        assert described is not None
        if not self.stack.network_features:
            return described
        return torch.cat([described, super().describe_training(batch, targets)], dim=1)

    def num_parameters(self) -> dict[str, int]:
        """Return the number of leaves' values and dual coefficients; none is trained by gradients."""
        counts = super().num_parameters()
        counts["state"] = len(self.state)
        return {**counts, "total": counts["trees"] + len(self.state)}

    def _held_out(self) -> Iterator[Fold]:
        if self._fold is None:
            return random_folds(self._machine(self.similarity), self.stack.folds, self.seed)
        siblings = [sibling for sibling in self._siblings if isinstance(sibling, StackedTrees)]
        return derived_folds(self._fold, (self._machine(sibling.similarity) for sibling in siblings))

    def _machine(self, similarity: GeneSimilarity) -> KernelMachine:
        return machine_on(similarity, self.state, self.stack.kernel, binary=self.is_binary)

    def _prepared(self) -> PairVotes | None:
        """Return what the whole training part says, counted once; None before there is one."""
        if self._votes is None and len(self.state):
            self._votes = PairVotes(self._machine(self.similarity), self.state.dual.double())
        return self._votes


def _forget(model: StackedTrees, _: Any) -> None:
    """A state was loaded: what has been counted does not belong to it."""
    model._votes = None
