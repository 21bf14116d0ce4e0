"""The heterogeneous encoder: genes, reactions and metabolites, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.models.hetero.attention import RelationAttention
from gisearch.models.hetero.config import HeteroEncoderConfig
from gisearch.models.hetero.graph import CellTensors, HeteroGraph
from gisearch.models.hetero.metabolic import (
    BipartiteMetabolism,
    Catalysed,
    MetabolicGraph,
    StoichiometricHypergraph,
)
from gisearch.models.layers.gene_inputs import embedding_of, features_of, gene_inputs
from gisearch.models.layers.product import Linear
from gisearch.models.layers.stages import StageMonitor

EMBEDDING_STD = 0.1


@plain_dataclass(frozen=True)
class HeteroNodes:
    """Features of every node; of B copies side by side, [B n, h] instead of [n, h].

    Attributes:
        genes: [N, h].
        reactions: [R, h].
        metabolites: [M, h].
    """

    genes: Tensor
    reactions: Tensor
    metabolites: Tensor

    def watch(self, monitor: StageMonitor, stage: str) -> HeteroNodes:
        """Record whether all features are finite; return them unchanged."""
        for value in (self.genes, self.reactions, self.metabolites):
            monitor.watch(stage, value)
        return self


class NodeUpdate(nn.Module):
    """x + dropout(ReLU(norm(sum of messages)))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, *messages: Tensor) -> Tensor:
        """Update nodes [n, h] with messages of the same shape."""
        out: Tensor = x + self.dropout(torch.relu(self.norm(torch.stack(messages).sum(0))))
        return out


class HeteroLayer(nn.Module):
    """One round: gene networks, catalysis both ways, metabolism; sums per node type.

    Metabolites act on genes through reactions only, so that the last round leaves them as they are.
    """

    def __init__(
        self,
        num_networks: int,
        width: int,
        config: HeteroEncoderConfig,
        metabolic: MetabolicGraph,
        *,
        last: bool,
    ) -> None:
        super().__init__()
        heads = config.num_heads
        self.networks = nn.ModuleList(RelationAttention(width, heads) for _ in range(num_networks))
        self.catalysis = RelationAttention(width, heads)
        self.catalysed = Catalysed(width)
        self.metabolism: StoichiometricHypergraph | BipartiteMetabolism
        if metabolic == "hypergraph":
            self.metabolism = StoichiometricHypergraph(width, last=last)
        else:
            self.metabolism = BipartiteMetabolism(width, heads, last=last)
        self.update_genes = NodeUpdate(width, config.dropout)
        self.update_reactions = NodeUpdate(width, config.dropout)
        self.update_metabolites = None if last else NodeUpdate(width, config.dropout)

    def forward(self, nodes: HeteroNodes, graph: HeteroGraph) -> HeteroNodes:
        """Update every node from the features before the layer."""
        genes, reactions, metabolites = nodes.genes, nodes.reactions, nodes.metabolites
        to_genes = [
            network(genes, genes, edges) for network, edges in zip(self.networks, graph.networks, strict=True)
        ]
        to_genes.append(self.catalysed(reactions, graph.catalysis, len(genes)))
        catalysis = self.catalysis(genes, reactions, graph.catalysis)
        to_reactions, to_metabolites = self.metabolism(reactions, metabolites, graph.stoichiometry)
        if self.update_metabolites is not None:
            metabolites = self.update_metabolites(metabolites, to_metabolites)
        return HeteroNodes(
            self.update_genes(genes, *to_genes),
            self.update_reactions(reactions, catalysis, to_reactions),
            metabolites,
        )


class HeteroEncoder(nn.Module):
    """Embeddings of three node types, or features of genes, through ``num_layers`` rounds of messages.

    Raises:
        DataError: see :meth:`HeteroEncoderConfig.check`.
    """

    mean_degrees: Tensor
    spread_degrees: Tensor

    def __init__(
        self, cell: CellGraph, width: int, config: HeteroEncoderConfig, metabolic: MetabolicGraph
    ) -> None:
        super().__init__()
        networks, metabolism = config.check(cell)
        self.cell = CellTensors(networks, metabolism, cell.num_genes)
        self.genes = embedding_of(config, cell.num_genes, width, EMBEDDING_STD)
        self.features = features_of(config, cell, width, EMBEDDING_STD)
        self.reactions = nn.Parameter(torch.randn(self.cell.num_reactions, width) * EMBEDDING_STD)
        self.metabolites = nn.Parameter(torch.randn(self.cell.num_metabolites, width) * EMBEDDING_STD)
        self.embedding_dropout = config.embedding_dropout
        self.degrees = Linear(2 * len(networks) + 1, width) if config.degrees else None
        self.layers = nn.ModuleList(
            HeteroLayer(len(networks), width, config, metabolic, last=i == config.num_layers - 1)
            for i in range(config.num_layers)
        )
        # In double precision, so that the order of genes does not matter.
        degrees = self.cell.wild_type().gene_degrees().double()
        self.register_buffer("mean_degrees", degrees.mean(0).float(), persistent=False)
        self.register_buffer("spread_degrees", degrees.std(0).clamp_min(1e-3).float(), persistent=False)

    def forward(self, graph: HeteroGraph, copies: int, monitor: StageMonitor) -> HeteroNodes:
        """Encode every node of a graph.

        Args:
            graph: the wild type, or ``copies`` of it.
            copies: how many times the graph holds the cell.
            monitor: is told every stage's values.
        """
        genes: Tensor | None = self.genes
        if genes is not None and self.training and self.embedding_dropout:
            # Without dropout's scaling of the rest: an evaluation reads every embedding as it is.
            genes = genes * (torch.rand_like(genes[:, :1]) >= self.embedding_dropout)
        inputs = (gene_inputs(genes, self.features), self.reactions, self.metabolites)
        nodes = HeteroNodes(*(x.repeat(copies, 1) for x in inputs))
        if self.degrees is not None:
            degrees = (graph.gene_degrees() - self.mean_degrees) / self.spread_degrees
            nodes = HeteroNodes(nodes.genes + self.degrees(degrees), nodes.reactions, nodes.metabolites)
        nodes.watch(monitor, "embeddings")
        for i, layer in enumerate(self.layers):
            nodes = layer(nodes, graph).watch(monitor, f"encoder.layer_{i + 1}")
        return nodes
