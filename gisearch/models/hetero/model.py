"""What HeteroCell and HeteroCellBipartite share: the encoded cell, two heads, the composite loss."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass as plain_dataclass

from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.hetero.config import (
    HeadConfig,
    HeteroModelConfig,
)
from gisearch.models.hetero.encoder import HeteroEncoder
from gisearch.models.hetero.metabolic import MetabolicGraph
from gisearch.models.hetero.perturbation import HeteroCells, PooledPerturbation
from gisearch.models.layers.mlp import mlp, robust_init
from gisearch.models.losses.composite import CompositeLoss
from gisearch.models.targets import Targets

FITNESS = "fitness"
INTERACTION = "gene_interaction"
FIRST_SCORES = 0.1


@plain_dataclass(frozen=True)
class Readout:
    """What one head says of B genotypes, and what it read.

    Attributes:
        score: [B].
        embedding: [B, h].
    """

    score: Tensor
    embedding: Tensor


@plain_dataclass(frozen=True)
class Readouts:
    """Both heads, and the cell that they read.

    Attributes:
        fitness: the fitness head's.
        interaction: the interaction head's; its embedding is the pooled perturbed representation.
        cells: the wild type and the mutants.
    """

    fitness: Readout
    interaction: Readout
    cells: HeteroCells


class HeteroModel(Model):
    """Predicts fitness and interaction from the same encoded cell.

    The scores are the fitness head's where the target is fitness, and the interaction head's for any other
    label. The other head is trained on its label, ``gene_interaction`` or ``fitness``, where it is measured.
    """

    def __init__(
        self, cell: CellGraph, target: Target, config: HeteroModelConfig, metabolic: MetabolicGraph
    ) -> None:
        super().__init__()
        _, metabolism = config.encoder.check(cell)
        self.losses = CompositeLoss(config.losses)
        self.predicts_fitness = target.name == FITNESS
        self.interaction_label = INTERACTION if self.predicts_fitness else target.name
        self.encoder = HeteroEncoder(cell, config.hidden_dim, config.encoder, metabolic)
        self.pooling = PooledPerturbation(metabolism, cell.num_genes, config.hidden_dim, config.perturbation)
        self.fitness_head = head(config.fitness_head, config.hidden_dim)

    @abstractmethod
    def read(self, cells: HeteroCells) -> Readouts:
        """Let both heads read the cells."""

    def readouts(self, batch: GenotypeBatch) -> Readouts:
        """Encode B genotypes and let both heads read them."""
        readouts = self.read(self.pooling(self.encoder, batch, self.monitor))
        self.monitor.watch("fitness_head", readouts.fitness.score)
        self.monitor.watch("interaction_head", readouts.interaction.score)
        return readouts

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes; both heads' scores are in the details."""
        readouts = self.readouts(batch)
        fitness, interaction = readouts.fitness.score, readouts.interaction.score
        return Prediction(
            fitness if self.predicts_fitness else interaction,
            details={"fitness": fitness, "interaction": interaction},
        )

    def scorer(self) -> Scorer:
        """Encode the wild type once."""
        cells = self.pooling.prepare(self.encoder, self.monitor)

        def score(deleted: Tensor) -> Tensor:
            readouts = self.read(cells(GenotypeBatch.complete(deleted)))
            return (readouts.fitness if self.predicts_fitness else readouts.interaction).score

        return Scorer(score)

    def training_loss(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Return the composite loss over both labels, each over the genotypes that measure it."""
        readouts = self.readouts(batch)
        loss = self.losses.of_cell(readouts.cells.change, readouts.interaction.embedding)
        # Distributions and pairs are those of the whole batch, whichever process computes a genotype.
        gather = self.whole_batch.gather
        targets = targets.apply(gather)
        weights = self.label_weights(targets)
        for label, readout in ((FITNESS, readouts.fitness), (self.interaction_label, readouts.interaction)):
            if label in targets.values:
                values, binary = targets.values[label], label in targets.binary
                score, embedding = gather(readout.score), gather(readout.embedding)
                term = self.losses.of_label(score, embedding, values, binary=binary)
                loss = loss + weights.get(label, 1.0) * term
        return loss

    def label_weights(self, targets: Targets) -> dict[str, float]:
        """Return the weights of the labels' terms in this batch; 1 where a label is left out."""
        return {}

    def initialise(self) -> None:
        """Draw first weights: pooling starts near a plain mean, and scores near the labels' mean.

        Sums over several nodes are wider than one node; gates that exponentiate them would let a few
        nodes hold the whole cell, and first scores would be many standard deviations wide.
        """
        robust_init(self)
        for layer in self.modules():
            if isinstance(layer, nn.Linear) and layer.out_features == 1:
                layer.weight.data *= FIRST_SCORES


def head(config: HeadConfig, width: int) -> nn.Sequential:
    """Return a head: [n, width] to [n, 1]."""
    return nn.Sequential(
        nn.Dropout(config.dropout), mlp([width] * config.num_layers + [1], dropout=config.dropout)
    )
