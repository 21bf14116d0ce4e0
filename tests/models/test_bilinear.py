"""What is particular to BilinearEmbedding: effects of genes and scores of pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from gisearch.config import build
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.batch import GenotypeBatch
from gisearch.models.bilinear import BilinearEmbedding
from gisearch.models.config.bilinear import BilinearEmbeddingConfig

TARGET = Target("gene_interaction", "regression")
TABLE = np.array([[3, -1, -1], [3, 8, -1], [3, 8, 21], [-1, 5, 0]])


def make(cell: CellGraph, **changes: float) -> BilinearEmbedding:
    torch.manual_seed(0)
    model = build(BilinearEmbeddingConfig, changes).build(cell, TARGET)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def test_the_score_as_it_is_defined(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell)
    vector, weight = model.pairs.vector, (model.pairs.weight + model.pairs.weight.T) / 2
    prediction = model(GenotypeBatch.from_table(TABLE))
    for row, score in zip(TABLE, prediction.score, strict=True):
        genes = [gene for gene in row if gene >= 0]
        pairs = [vector[a] @ weight @ vector[b] for a, b in combinations(genes, 2)]
        mean = torch.stack(pairs).mean() if pairs else torch.zeros(())
        expected = model.effects.bias[0] + model.effects.effect[genes].sum() + mean
        torch.testing.assert_close(score, expected)
    torch.testing.assert_close(prediction.details["additive"] + prediction.details["pairs"], prediction.score)
    assert prediction.details["pairs"][0] == 0, "a single deletion has no pair"


def test_the_rank_bounds_the_table_of_pairs(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, rank=3)
    genes = torch.arange(10)
    pairs = torch.cartesian_prod(genes, genes + 10)
    scores = model(GenotypeBatch.from_table(pairs.numpy())).details["pairs"].view(10, 10)
    assert torch.linalg.matrix_rank(scores.double(), rtol=1e-5) == 3


def test_both_signs_are_there_from_the_start(tiny_cell: CellGraph) -> None:
    torch.manual_seed(0)
    model = BilinearEmbeddingConfig(rank=5).build(tiny_cell, TARGET)
    assert torch.linalg.eigvalsh(model.pairs.weight).sign().tolist() == [-1, -1, 1, 1, 1]
