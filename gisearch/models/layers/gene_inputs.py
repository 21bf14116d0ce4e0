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
    """A linear map of one table of features; a gene without a row gets a learnt vector instead."""

    values: Tensor
    known: Tensor

    def __init__(self, table: GeneFeatures, width: int, std: float) -> None:
        super().__init__()
        # Not persistent: features are data, not parameters of the model.
        self.register_buffer("values", torch.tensor(table.values), persistent=False)
        self.register_buffer("known", torch.tensor(table.known).unsqueeze(1), persistent=False)
        self.weight = nn.Parameter(torch.randn(width, table.width) * (std / math.sqrt(table.width)))
        self.missing = None if table.known.all() else nn.Parameter(torch.randn(1, width) * std)

    def forward(self) -> Tensor:
        """Return every gene's vector, [N, h]."""
        x = product(self.values, self.weight)
        return x if self.missing is None else torch.where(self.known, x, self.missing)


class GeneFeatureInputs(nn.Module):
    """The sum over tables of each table's own map: [N, h].

    First vectors have the standard deviation ``std`` where the features have 1, as embeddings do, so that
    either may take the place of the other.
    """

    def __init__(self, tables: Sequence[GeneFeatures], width: int, std: float) -> None:
        super().__init__()
        # Several tables with that spread each would have more together.
        std = std / math.sqrt(max(1, len(tables)))
        self.tables = nn.ModuleList(FeatureTable(table, width, std) for table in tables)

    def forward(self) -> Tensor:
        """Return every gene's vector, [N, h]."""
        total, *others = (table() for table in self.tables)
        for other in others:
            total = total + other
        result: Tensor = total
        return result


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
    return features() if embedding is None else embedding + features()
