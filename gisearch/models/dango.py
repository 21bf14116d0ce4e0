"""Dango: genes are embedded per network by reconstructing it, and the embeddings of a set scored together.

Pretraining (DangoPreTrain) encodes every network on its own and asks each gene's embedding for its row of
the adjacency matrix. MetaEmbedding weights the networks per gene; HyperSAGNN scores the deleted genes. The
two losses are mixed by a schedule over epochs.

Source: Zhang et al. 2020, doi:10.1101/2020.11.26.400739.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Target
from gisearch.models.base import BaseModelConfig, Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.convolution import SAGE
from gisearch.models.layers.hypersagnn import HyperSAGNN, HyperSAGNNConfig
from gisearch.models.layers.hypersagnn_tables import HyperSAGNNTables
from gisearch.models.layers.meta_embedding import MetaEmbedding
from gisearch.models.layers.mlp import require_heads_divide, robust_init
from gisearch.models.layers.reconstruction import Reconstruction, ReconstructionConfig
from gisearch.models.layers.separate_neighbours import SeparateNeighbours
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.targets import Targets

ScheduleName = Literal["pre_then_post", "linear_until_uniform", "linear_until_flipped"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossScheduleConfig:
    """How training moves from reconstructing networks to predicting interactions.

    Attributes:
        name: ``pre_then_post`` reconstructs alone and then predicts alone, so that scores mean nothing
            before the switch; ``linear_until_uniform`` ends at half of each; ``linear_until_flipped`` ends
            at predicting alone.
        transition_epochs: epochs before the last weights hold; 0 begins with them.
    """

    name: ScheduleName = "pre_then_post"
    transition_epochs: int = Field(default=4, ge=0)

    def interaction_weight(self, epoch: int) -> float:
        """Return the weight of the interaction loss in an epoch, counted from 1."""
        if epoch > self.transition_epochs:
            return 0.5 if self.name == "linear_until_uniform" else 1.0
        passed = epoch / (self.transition_epochs + 1)
        return {
            "pre_then_post": 0.0,
            "linear_until_uniform": 0.5 * passed,
            "linear_until_flipped": passed,
        }[self.name]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DangoConfig(BaseModelConfig):
    """Configuration of :class:`Dango`.

    Attributes:
        name: tells the models apart.
        networks: the gene networks to use, by name; None takes all that the data has.
        hidden_dim: the width h of every embedding.
        reconstruction: what reconstructing a network asks for.
        hypersagnn: the predictor of interactions.
        schedule: how the two losses are mixed.
    """

    name: Literal["dango"] = "dango"
    networks: Annotated[list[str], Field(min_length=1)] | None = None
    hidden_dim: int = Field(default=64, ge=4, le=4096)
    reconstruction: ReconstructionConfig = Field(default_factory=ReconstructionConfig)
    hypersagnn: HyperSAGNNConfig = Field(default_factory=HyperSAGNNConfig)
    schedule: LossScheduleConfig = Field(default_factory=LossScheduleConfig)

    def __post_init__(self) -> None:
        require_heads_divide(self.hidden_dim, "hypersagnn.num_heads", self.hypersagnn.num_heads)

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where a network that the configuration names is not in the cell graph."""
        self.reconstruction.check([network.name for network in cell.require(self.networks)])

    def build(self, cell: CellGraph, target: Target) -> Dango:
        """Build the model on a cell graph.

        Raises:
            DataError: a network that the configuration names is not in the cell graph.
        """
        return Dango(cell, self)


class DangoPreTrain(nn.Module):
    """One embedding of every gene, encoded by each network on its own, and each network reconstructed.

    Two SAGE layers per network, each followed by a ReLU.
    """

    def __init__(
        self, networks: Sequence[Network], num_genes: int, width: int, lambdas: Sequence[float]
    ) -> None:
        """Prepare.

        Args:
            networks: the G networks.
            num_genes: N.
            width: h.
            lambdas: the weight of each network's zero entries in its reconstruction.
        """
        super().__init__()
        self.neighbours = SeparateNeighbours(networks, num_genes)
        self.embedding = nn.Parameter(torch.randn(num_genes, width) / math.sqrt(width))
        self.layers = nn.ModuleList(SAGE(len(networks), width) for _ in range(2))
        self.reconstruction = Reconstruction(self.neighbours, width, lambdas)

    def forward(self, monitor: StageMonitor) -> Tensor:
        """Return every gene's embedding in every network, [G, N, h]."""
        x = self.embedding.expand(self.neighbours.num_networks, -1, -1)
        for i, layer in enumerate(self.layers):
            x = monitor.watch(f"pretrain.layer_{i + 1}", torch.relu(layer(x, self.neighbours)))
        return x

    def loss(self, per_network: Tensor, monitor: StageMonitor) -> Tensor:
        """Return the reconstruction loss of embeddings [G, N, h]."""
        loss: Tensor = self.reconstruction(per_network, self.neighbours)
        return monitor.watch("reconstruction", loss)


class Dango(Model):
    """Scores genotypes by self-attention among the network-trained embeddings of their deleted genes."""

    def __init__(self, cell: CellGraph, config: DangoConfig) -> None:
        super().__init__()
        networks, width = cell.require(config.networks), config.hidden_dim
        lambdas = config.reconstruction.check([network.name for network in networks])
        self.config = config
        self.pretrain = DangoPreTrain(networks, cell.num_genes, width, lambdas)
        self.meta_embedding = MetaEmbedding(len(networks), width)
        self.hypersagnn = HyperSAGNN(width, config.hypersagnn)
        robust_init(self)
        self.start_epoch(1)

    def start_epoch(self, epoch: int) -> None:
        """Set the weights of the two losses."""
        self.interaction_weight = self.config.schedule.interaction_weight(epoch)

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""
        # No score depends on the reconstruction's weights, so that nothing else would tell of a bad one.
        self.monitor.watch("reconstruction", self.pretrain.reconstruction.weight)
        self.monitor.watch("reconstruction", self.pretrain.reconstruction.bias)
        return self._score(self.pretrain(self.monitor), batch)

    def scorer(self) -> Scorer:
        """Encode every network once, and make the tables of the predictor."""
        genes, _ = self.meta_embedding(self.pretrain(self.monitor))
        return Scorer(HyperSAGNNTables(self.hypersagnn, genes))

    def training_loss(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Return the weighted sum of the two losses; the networks are encoded once for both.

        A loss of weight zero is not computed at all.
        """
        weight = self.interaction_weight
        per_network = self.pretrain(self.monitor)
        if weight == 0.0:
            return self.pretrain.loss(per_network, self.monitor)
        interaction = targets.loss(self._score(per_network, batch).score)
        if weight == 1.0:
            return interaction
        return (1 - weight) * self.pretrain.loss(per_network, self.monitor) + weight * interaction

    def _score(self, per_network: Tensor, batch: GenotypeBatch) -> Prediction:
        genes, attention = self.meta_embedding(per_network)
        self.monitor.watch("meta_embedding", genes)
        score = self.monitor.watch("hypersagnn", self.hypersagnn(genes[batch.deleted], batch.present))
        return Prediction(score, details={"network_attention": attention})
