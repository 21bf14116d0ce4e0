"""What a model knows of a gene before it looks at any network: learnt numbers, given features, or both.

Shapes: N genes, F features of a table, h width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.data.gene_features import GeneFeatures
from gisearch.models.layers.config import GeneInputsConfig
from gisearch.models.layers.product import product


class FeatureTable(nn.Module):
    """A linear map of one table of features; a gene without a row gets a learnt vector instead.

    Features are divided by sqrt(F): so not only first vectors are as long as those of embeddings, a step of
    the optimiser moves them as far as it moves an embedding too, and weight decay holds both alike.
    """

    values: Tensor
    known: Tensor

    def __init__(self, table: GeneFeatures, width: int, std: float) -> None:
        super().__init__()
        # Not persistent: features are data, not parameters of the model.
        self.register_buffer("values", torch.tensor(table.values) / math.sqrt(table.width), persistent=False)
        self.register_buffer("known", torch.tensor(table.known).unsqueeze(1), persistent=False)
        self.weight = nn.Parameter(torch.randn(width, table.width) * std)
        self.missing = None if table.known.all() else nn.Parameter(torch.randn(1, width) * std)

    def forward(self) -> Tensor:
        """Return every gene's vector, [N, h]."""
        x = product(self.values, self.weight)
        return x if self.missing is None else torch.where(self.known, x, self.missing)


class GeneFeatureInputs(nn.Module):
    """A bias and the sum over T tables of each table's own map, divided by sqrt(T): [N, h].

    First vectors have the standard deviation ``std`` where the features have 1, as embeddings do, so that
    either may take the place of the other.
    """

    def __init__(self, tables: Sequence[GeneFeatures], width: int, std: float) -> None:
        super().__init__()
        self.tables = nn.ModuleList(FeatureTable(table, width, std) for table in tables)
        # Standardised features sum to zero over genes; what all genes share would otherwise have no place.
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self) -> Tensor:
        """Return every gene's vector, [N, h]."""
        total: Tensor = self.tables[0]()
        for table in self.tables[1:]:
            total = total + table()
        return self.bias + total / math.sqrt(len(self.tables))


def embedding_of(config: GeneInputsConfig, num_genes: int, width: int, std: float) -> nn.Parameter | None:
    """Return learnt embeddings [N, h] of that standard deviation, where the configuration wants any."""
    return nn.Parameter(torch.randn(num_genes, width) * std) if config.inputs != "features" else None


def features_of(
    config: GeneInputsConfig, cell: CellGraph, width: int, std: float
) -> GeneFeatureInputs | None:
    """Return the maps of the cell graph's features, where the configuration wants any.

    Raises:
        DataError: a table that the configuration names is not in the cell graph, or it has none at all.
    """
    tables = config.check_inputs(cell)
    return GeneFeatureInputs(tables, width, std) if tables else None


def gene_inputs(embedding: Tensor | None, features: GeneFeatureInputs | None) -> Tensor:
    """Return what genes start with: the learnt embedding, the mapped features, or their sum, [N, h]."""
    if features is None:
        assert embedding is not None, "a model reads embeddings, features, or both"
        return embedding
    mapped: Tensor = features()
    return mapped if embedding is None else embedding + mapped
