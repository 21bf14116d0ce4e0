"""InteractionDiffusion: whom do the enemies of my enemies fight? Walks along the interactions themselves.

Qi, Suhail, Lin, Boeke and Bader 2008, Genome Research 18(12), "Finding friends and enemies in an enemies-only
network: a graph diffusion kernel for predicting novel genetic interactions and co-complex membership from
yeast genetic interactions". Walks of odd length end among a gene's enemies, walks of even length among its
friends.

Shapes: B genotypes, N genes, M of them in training genotypes, R in the graph, S kernels,
F features of the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.base import FittedModel, Prediction
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.interaction_diffusion import InteractionDiffusionConfig
from gisearch.models.layers.linear_fit import fit_weights
from gisearch.models.layers.network_mean import NetworkMean
from gisearch.models.layers.walk_kernel import WalkKernel, eigenvectors, walk_strengths
from gisearch.models.targets import Targets

# Genotypes at the overall mean that every gene's own mean is pulled to it by.
_PRIOR = 5.0


@plain_dataclass
class _Fit:
    """What was fitted, and on what.

    Attributes:
        batch: the training genotypes.
        targets: their labels.
        loss: their loss, each scored from other parts of the training split.
    """

    batch: GenotypeBatch
    targets: Targets
    loss: float


@plain_dataclass(frozen=True)
class TrainingGenotypes:
    """The training genotypes, with genes counted among the M that occur there.

    Attributes:
        batch: the genotypes, B of them; ``deleted`` counts the genes that occur.
        genes: int64 [M], which genes these are.
        reach: float64 [N, M], how much every gene takes over from each of them.
    """

    batch: GenotypeBatch
    genes: Tensor
    reach: Tensor


class InteractionDiffusion(FittedModel):
    """Scores genotypes by a diffusion kernel of the training part's interactions, put on the label's scale.

    The scale is fitted on training genotypes, each scored from the other parts of the training split:
    with its own label in the graph the shortest walk between its genes would be that label.
    """

    def __init__(self, cell: CellGraph, target: Target, config: InteractionDiffusionConfig) -> None:
        super().__init__()
        self.config, self.is_binary = config, target.kind == "binary"
        self.kernels = ("odd", "even") if config.walks == "both" else (config.walks,)
        self.mean = NetworkMean(cell.select(config.networks), cell.num_genes)
        self.walks = WalkKernel(cell.num_genes, len(self.kernels))
        self.gene = nn.Parameter(torch.zeros(cell.num_genes, 1), requires_grad=False)
        self.weight = nn.Parameter(torch.zeros(1, len(self.kernels) + 4), requires_grad=False)
        # Decides which parts of the training split are scored together.
        self.seed = int(torch.randint(2**31 - 1, ()))
        self._fit: _Fit | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes; the details hold the kernels by name, [B] each."""
        for parameter in self.walks.parameters():
            self.monitor.watch("walks", parameter)
        self.monitor.watch("genes", self.gene)
        features = self._features(batch, self.walks, self.gene)
        score = self.monitor.watch("calibration", features @ self.weight[0])
        return Prediction(score, details=dict(zip(self.kernels, features.T, strict=False)))

    def fit_epoch(self, batch: GenotypeBatch, targets: Targets) -> float:
        """Solve for everything at once: the first epoch is the last that changes anything.

        Returns:
            The loss of the training genotypes, each scored without the part of the split that it is in.
        """
        fit = self._fit
        if fit is None or fit.batch is not batch or fit.targets is not targets:
            fit = self._fit = _Fit(batch, targets, self._solve(batch, targets))
        return fit.loss

    def num_parameters(self) -> dict[str, int]:
        """Return how many numbers were fitted; none is trained by gradients."""
        counts = {"walks": sum(p.numel() for p in self.walks.parameters()), "genes": len(self.gene)}
        counts["calibration"] = self.weight.numel()
        return {**counts, "total": sum(counts.values())}

    def _solve(self, batch: GenotypeBatch, targets: Targets) -> float:
        labels, training = targets.main.double().cpu(), self.prepare(batch)
        features = self.held_out_features(training, labels)
        weights = fit_weights(features, labels, binary=self.is_binary)
        walks, gene = self._diffuse(training.batch, labels, training.reach)
        self.walks.replace(walks.vector.to(self.gene), walks.strength.to(self.gene))
        self.gene.copy_(gene)
        self.weight.copy_(weights.unsqueeze(0))
        return float(targets.loss((features @ weights).to(targets.main)))

    def prepare(self, batch: GenotypeBatch) -> TrainingGenotypes:
        """Return genotypes to train on with all that does not depend on their labels."""
        batch = batch.to("cpu")
        genes = torch.unique(batch.deleted[batch.present])
        place = torch.zeros(len(self.gene), dtype=torch.int64)
        place[genes] = torch.arange(len(genes))
        deleted = torch.where(batch.present, place[batch.deleted], 0)
        own = torch.zeros(len(self.gene), len(genes), dtype=torch.float64)
        own[genes, place[genes]] = 1.0
        reach = self.mean.spread(own.to(self.gene.device), self.config.network_weight, self.config.hops)
        return TrainingGenotypes(GenotypeBatch(deleted, batch.present), genes, reach.cpu())

    def held_out_features(self, training: TrainingGenotypes, labels: Tensor) -> Tensor:
        """Return the features of training genotypes, each from the labels of other parts alone, [B, F].

        Args:
            training: the training genotypes.
            labels: float64 [B].
        """
        reach = training.reach[training.genes]
        batch = training.batch
        generator = torch.Generator().manual_seed(self.seed)
        fold = torch.randperm(len(batch), generator=generator) % self.config.folds
        features = labels.new_zeros(len(batch), self.weight.shape[1])
        for number in range(self.config.folds):
            held, rest = fold == number, fold != number
            known = self._diffuse(batch[rest], labels[rest], reach)
            features[held] = self._features(batch[held], *known)
        return features

    def _diffuse(self, batch: GenotypeBatch, labels: Tensor, reach: Tensor) -> tuple[WalkKernel, Tensor]:
        """Return what labelled genotypes say: the kernels, and the genes' mean labels, [N, 1]; float64.

        Args:
            batch: the genotypes, whose genes are columns of ``reach``.
            labels: float64 [B].
            reach: how much N genes take over from each of M training genes, float64 [N, M].
        """
        above = labels - labels.mean()
        negative = labels if self.is_binary else (-above).clamp_min(0)
        graph = eigenvectors(batch, above if self.config.signed else negative, reach.shape[1])
        strengths = walk_strengths(graph.values, self.config.beta, self.kernels, self.config.longest_walk)
        total, count = torch.zeros(2, reach.shape[1], dtype=torch.float64)
        genes = batch.deleted[batch.present]
        total.index_add_(0, genes, above.unsqueeze(1).expand_as(batch.present)[batch.present])
        count.index_add_(0, genes, torch.ones(len(genes), dtype=torch.float64))
        kernel = WalkKernel(len(reach), len(self.kernels))
        kernel.replace(reach[:, graph.genes] @ graph.vectors, strengths)
        return kernel, reach @ (total / (count + _PRIOR)).unsqueeze(1)

    def _features(self, batch: GenotypeBatch, walks: WalkKernel, gene: Tensor) -> Tensor:
        """Return kernels, the sum of the genes' means, an intercept, and who is single or triple, [B, F]."""
        means = torch.where(batch.present.unsqueeze(-1), gene[batch.deleted], 0.0).sum(1)
        order = batch.present.sum(1, keepdim=True)
        rest = torch.cat([torch.ones_like(order), order == 1, order == 3], dim=1)
        return torch.cat([walks(batch), means, rest.to(means.dtype)], dim=1)


def _forget(model: InteractionDiffusion, _: Any) -> None:
    """Other numbers were loaded: what has been fitted does not belong to them."""
    model._fit = None
