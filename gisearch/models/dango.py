"""Dango: genes are embedded per network by reconstructing it, and the embeddings of a set scored together.

Pretraining (DangoPreTrain) encodes every network on its own and asks each gene's embedding for its row of
the adjacency matrix. MetaEmbedding weights the networks per gene; HyperSAGNN scores the deleted genes. The
two losses are mixed by a schedule over epochs.

Source: Zhang et al. 2020, doi:10.1101/2020.11.26.400739.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.dango import DangoConfig
from gisearch.models.layers.config import GeneInputsConfig
from gisearch.models.layers.convolution import SAGE
from gisearch.models.layers.gene_inputs import embedding_of, features_of, gene_inputs
from gisearch.models.layers.hypersagnn import HyperSAGNN
from gisearch.models.layers.hypersagnn_tables import HyperSAGNNTables
from gisearch.models.layers.meta_embedding import MetaEmbedding
from gisearch.models.layers.mlp import robust_init
from gisearch.models.layers.reconstruction import Reconstruction
from gisearch.models.layers.separate_neighbours import SeparateNeighbours
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.targets import Targets


class DangoPreTrain(nn.Module):
    """One vector of every gene, encoded by each network on its own, and each network reconstructed.

    Two SAGE layers per network, each followed by a ReLU.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        cell: CellGraph,
        width: int,
        lambdas: Sequence[float],
        inputs: GeneInputsConfig,
    ) -> None:
        """Prepare.

        Args:
            networks: the G networks.
            cell: the N genes and their features.
            width: h.
            lambdas: the weight of each network's zero entries in its reconstruction.
            inputs: what genes start with.
        """
        super().__init__()
        self.neighbours = SeparateNeighbours(networks, cell.num_genes)
        std = 1 / math.sqrt(width)
        self.embedding = embedding_of(inputs, cell.num_genes, width, std)
        self.features = features_of(inputs, cell, width, std)
        self.layers = nn.ModuleList(SAGE(len(networks), width) for _ in range(2))
        self.reconstruction = Reconstruction(self.neighbours, width, lambdas)

    def forward(self, monitor: StageMonitor) -> Tensor:
        """Return every gene's embedding in every network, [G, N, h]."""
        x = gene_inputs(self.embedding, self.features).expand(self.neighbours.num_networks, -1, -1)
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
        self.network_names = tuple(network.name for network in networks)
        self.pretrain = DangoPreTrain(networks, cell, width, lambdas, config)
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
