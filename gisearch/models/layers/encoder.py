"""The gene encoder: learnable gene embeddings, convolved over all networks, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.models.layers.convolution import GIN, ConvolutionName, GATv2
from gisearch.models.layers.graph_aggregation import AggregationName, graph_aggregation
from gisearch.models.layers.mlp import ActivationName, NetworkNorm, NormName, activation, mlp
from gisearch.models.layers.neighbours import Neighbours
from gisearch.models.layers.stages import StageMonitor

EMBEDDING_STD = 0.02


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EncoderConfig:
    """How wild-type genes are encoded.

    Attributes:
        networks: the gene networks to use, by name; None takes all that the data has.
        convolution: the graph convolution of every network.
        num_layers: rounds of message passing.
        num_heads: attention heads of ``gatv2`` and of ``cross_attention``; must divide the hidden width.
        gin_mlp_layers: layers of each GIN's MLP.
        graph_aggregation: how the networks' embeddings of a gene become one, after every layer.
        bottleneck: width inside ``pairwise_interaction``.
        residual: add each layer's input to its output.
        norm: norm after every convolution and on the final embeddings.
        activation: activation after every norm.
        dropout: dropout after every activation.
    """

    networks: list[str] | None = None
    convolution: ConvolutionName = "gin"
    num_layers: int = Field(default=2, ge=1, le=8)
    num_heads: int = Field(default=4, ge=1, le=64)
    gin_mlp_layers: int = Field(default=2, ge=1, le=4)
    graph_aggregation: AggregationName = "mean"
    bottleneck: int = Field(default=16, ge=1, le=1024)
    residual: bool = True
    norm: NormName = "layer"
    activation: ActivationName = "relu"
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)


@plain_dataclass(frozen=True)
class EncodedGenes:
    """The wild type's genes after the encoder.

    Attributes:
        embeddings: [N, h].
        attention: the last layer's aggregation weights per gene, [N, options], or None.
    """

    embeddings: Tensor
    attention: Tensor | None


class EncoderLayer(nn.Module):
    """Convolution per network, norm, activation, dropout, aggregation across networks."""

    def __init__(self, num_networks: int, width: int, config: EncoderConfig) -> None:
        super().__init__()
        self.convolution: GIN | GATv2
        if config.convolution == "gin":
            self.convolution = GIN(
                num_networks, width, mlp_layers=config.gin_mlp_layers, act=config.activation
            )
        else:
            self.convolution = GATv2(num_networks, width, heads=config.num_heads)
        self.norm = NetworkNorm(num_networks, width) if config.norm == "layer" else nn.Identity()
        self.activation = activation(config.activation)
        self.dropout = nn.Dropout(config.dropout)
        self.aggregation = graph_aggregation(
            config.graph_aggregation,
            num_networks,
            width,
            heads=config.num_heads,
            bottleneck=config.bottleneck,
        )
        self.residual = config.residual

    def forward(self, x: Tensor, neighbours: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Map [N, h] to [N, h] and the aggregation weights."""
        per_network = self.dropout(self.activation(self.norm(self.convolution(x, neighbours))))
        out, attention = self.aggregation(per_network)
        return (x + out if self.residual else out), attention


class Encoder(nn.Module):
    """Gene embeddings through a preprocessor and ``num_layers`` rounds over all networks.

    Raises:
        DataError: a network that the configuration names is not in the cell graph.
    """

    def __init__(self, cell: CellGraph, width: int, config: EncoderConfig) -> None:
        super().__init__()
        networks = cell.select(config.networks)
        self.network_names = tuple(network.name for network in networks)
        self.neighbours = Neighbours(networks, cell.num_genes)
        self.embedding = nn.Parameter(torch.randn(cell.num_genes, width) * EMBEDDING_STD)
        self.preprocessor = mlp(
            [width, width, width],
            act=config.activation,
            norm=config.norm,
            dropout=config.dropout,
            finish=True,
        )
        self.layers = nn.ModuleList(
            EncoderLayer(len(networks), width, config) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(width) if config.norm == "layer" else nn.Identity()

    def forward(self, monitor: StageMonitor) -> EncodedGenes:
        """Encode every gene of the wild type."""
        x = monitor.watch("preprocessor", self.preprocessor(self.embedding))
        attention = None
        for i, layer in enumerate(self.layers):
            x, attention = layer(x, self.neighbours)
            monitor.watch(f"encoder.layer_{i + 1}", x)
        return EncodedGenes(self.norm(x), attention)
