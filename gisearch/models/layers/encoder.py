"""The gene encoder: embeddings or features of genes, convolved over all networks, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.models.layers.changes import LayerChanges
from gisearch.models.layers.config import (
    EncoderConfig,
)
from gisearch.models.layers.convolution import GIN, SAGE, ChangedInput, Convolution, GATv2, LightGCN, State
from gisearch.models.layers.gene_inputs import embedding_of, features_of, gene_inputs
from gisearch.models.layers.graph_aggregation import graph_aggregation
from gisearch.models.layers.mlp import NetworkNorm, activation, are_alone, each, mlp
from gisearch.models.layers.neighbours import Neighbours
from gisearch.models.layers.stages import StageMonitor

EMBEDDING_STD = 0.02
RESIDUAL_GAIN = 0.5


@plain_dataclass(frozen=True)
class WildTypeLayer:
    """What the wild type's passage through one layer leaves for the rows that differ from it.

    Attributes:
        input: [N, h].
        noise: the factors of dropout, [G, N, h], or None where nothing is dropped. A gene's are the same
            in every genotype, so that genotypes differ by their deletions alone.
        state: the convolution's.
        networks: the networks' outputs before their aggregation, slabs of [G, N, h].
    """

    input: Tensor
    noise: Tensor | None
    state: State
    networks: Sequence[Tensor]


@plain_dataclass(frozen=True)
class EncodedGenes:
    """The wild type's genes after the encoder.

    Attributes:
        embeddings: [N, h].
        attention: the last layer's aggregation weights per gene, [N, options], or None.
        layers: the passage through every layer, where it was to be kept.
    """

    embeddings: Tensor
    attention: Tensor | None
    layers: tuple[WildTypeLayer, ...]


class EncoderLayer(nn.Module):
    """Convolution per network, norm, activation, dropout, aggregation across networks."""

    def __init__(self, num_networks: int, width: int, config: EncoderConfig) -> None:
        super().__init__()
        self.convolution: Convolution
        match config.convolution:
            case "gin":
                layers = config.gin_mlp_layers
                self.convolution = GIN(num_networks, width, mlp_layers=layers, act=config.activation)
            case "gatv2":
                self.convolution = GATv2(num_networks, width, heads=config.num_heads)
            case "sage":
                self.convolution = SAGE(num_networks, width)
            case "lightgcn":
                self.convolution = LightGCN()
        linear = config.convolution == "lightgcn"
        normed = config.norm == "layer" and not linear
        self.norm = NetworkNorm(num_networks, width) if normed else None
        self.activation = nn.Identity() if linear else activation(config.activation, in_place=normed)
        self.dropout = config.dropout
        self.aggregation = graph_aggregation(
            config.graph_aggregation,
            num_networks,
            width,
            heads=config.num_heads,
            bottleneck=config.bottleneck,
        )
        # A gain per network lets the model fade a network in or out while embeddings are learnt.
        self.gain: nn.Parameter | None = None
        if config.residual:
            self.gain = nn.Parameter(torch.full((num_networks, 1, 1), RESIDUAL_GAIN))

    def forward(
        self, x: Tensor, neighbours: Neighbours, noise: Tensor | None, *, keep: bool = False
    ) -> tuple[Tensor, Tensor | None, WildTypeLayer]:
        """Map [N, h] to [N, h], the aggregation weights, and what :meth:`changed` continues from.

        Args:
            x: gene features, [N, h].
            neighbours: G networks over the N genes.
            noise: from :meth:`draw_noise`.
            keep: whether :meth:`changed` will continue from it.
        """
        slabs, state = self.convolution.propagate(x, neighbours, keep=keep)
        alone = are_alone(slabs)
        nothing = [None] * len(slabs)
        norms = nothing if self.norm is None else self.norm.each(alone=alone)
        noises = nothing if noise is None else each(noise, alone=alone)
        gains = nothing if self.gain is None else each(self.gain, alone=alone)
        finished = list[Tensor]()
        for slab, norm, factors, gain in zip(slabs, norms, noises, gains, strict=True):
            y = self.activation(slab if norm is None else norm(slab))
            y = y if factors is None else y * factors
            finished.append(y if gain is None else gain * y)
        out, attention = self.aggregation(finished)
        if self.gain is not None:
            out = x + out
        return out, attention, WildTypeLayer(x, noise, state, finished)

    def draw_noise(self, x: Tensor, num_networks: int) -> Tensor | None:
        """Draw the factors of dropout for genes [N, h], [G, N, h]; None where nothing is dropped."""
        if not self.training or self.dropout == 0:
            return None
        return nn.functional.dropout(x.new_ones(num_networks, *x.shape), self.dropout)

    def changed(self, wild: WildTypeLayer, values: Tensor, changes: LayerChanges) -> Tensor:
        """Return the R rows that differ from the wild type after this layer, [R, h].

        Args:
            wild: the wild type's passage through this layer.
            values: the C rows that differed before, [C, h].
            changes: which rows those are, and which follow from them.
        """
        delta = -nn.functional.embedding(changes.source_gene, wild.input)
        delta = torch.cat([delta[: len(values)] + values, delta[len(values) :]])
        given = ChangedInput(wild.input, values, delta)
        rows = []
        for g, network in enumerate(changes.networks):
            y = self.convolution.changed(g, wild.state, given, network)
            y = self.activation(y if self.norm is None else self.norm.of(g, y))
            if wild.noise is not None:
                y = y * wild.noise[g].index_select(0, network.gene)
            rows.append(y if self.gain is None else self.gain[g] * y)
        combined = changes.combine.sum(torch.cat([*(slab.flatten(0, -2) for slab in wild.networks), *rows]))
        if self.aggregation.is_sum:
            out = combined * self.aggregation.scale(len(rows))
        else:
            out, _ = self.aggregation([combined.view(len(rows), -1, combined.shape[-1])])
        if self.gain is not None:
            assert changes.residual is not None
            out = out + changes.residual.sum(torch.cat([wild.input, values]))
        return out


class Encoder(nn.Module):
    """Gene embeddings or features through a preprocessor and ``num_layers`` rounds over all networks.

    Raises:
        DataError: a network or a table of features that the configuration names is not in the cell graph, or
            it has none at all.
    """

    def __init__(self, cell: CellGraph, width: int, config: EncoderConfig) -> None:
        super().__init__()
        networks = config.check(cell)
        self.network_names = tuple(network.name for network in networks)
        self.neighbours = Neighbours(networks, cell.num_genes)
        self.embedding = embedding_of(config, cell.num_genes, width, EMBEDDING_STD)
        self.features = features_of(config, cell, width, EMBEDDING_STD)
        self.preprocessor = mlp(
            [width, width, width],
            act=config.activation,
            norm=config.norm,
            dropout=config.dropout,
            finish=True,
        )
        layers = [EncoderLayer(len(networks), width, config) for _ in range(config.num_layers)]
        self.layers: Sequence[EncoderLayer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.gain = nn.Parameter(torch.tensor(RESIDUAL_GAIN)) if config.residual else None
        # A final norm would blow small residual embeddings up to unit scale: random codes instead of
        # learnt ones, which a model memorises pairs with.
        plain = config.residual or config.norm == "none"
        self.norm = nn.Identity() if plain else nn.LayerNorm(width)

    def forward(self, monitor: StageMonitor, *, keep: bool = False) -> EncodedGenes:
        """Encode every gene of the wild type.

        Args:
            monitor: is told every stage's values.
            keep: whether to return the passage through every layer.
        """
        inputs = gene_inputs(self.embedding, self.features)
        x = self.preprocessor(inputs)
        x = monitor.watch("preprocessor", x if self.gain is None else inputs + self.gain * x)
        attention, layers = None, []
        for i, layer in enumerate(self.layers):
            noise = layer.draw_noise(x, self.neighbours.num_networks)
            x, attention, passage = layer(x, self.neighbours, noise, keep=keep)
            if keep:
                layers.append(passage)
            monitor.watch(f"encoder.layer_{i + 1}", x)
        return EncodedGenes(monitor.watch("encoder.norm", self.norm(x)), attention, tuple(layers))
