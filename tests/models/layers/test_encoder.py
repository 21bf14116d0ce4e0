"""What the encoder takes from the cell graph, and how it refuses what is not there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph
from gisearch.errors import DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers import convolution as convolutions
from gisearch.models.layers.config import EncoderConfig, PerturbationName
from gisearch.models.layers.encoder import EMBEDDING_STD, Encoder
from gisearch.models.layers.perturbation import perturbation_encoding
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.stages import StageMonitor

WIDTH = 8


def encoder(cell: CellGraph, **options: object) -> Encoder:
    torch.manual_seed(0)
    return Encoder(cell, WIDTH, EncoderConfig(**options)).eval()  # type: ignore[arg-type]


def test_takes_all_networks_unless_told(tiny_cell: CellGraph) -> None:
    assert encoder(tiny_cell).network_names == tuple(tiny_cell.networks)
    chosen = list(tiny_cell.networks)[::-2]
    one = encoder(tiny_cell, networks=chosen)
    assert one.network_names == tuple(chosen)
    assert one.neighbours.num_networks == len(chosen)


def test_refuses_a_network_that_is_not_there(tiny_cell: CellGraph) -> None:
    with pytest.raises(DataError, match=r"no network 'fysical' .*physical.*Did you mean 'physical'\?"):
        encoder(tiny_cell, networks=["fysical"])


def test_refuses_a_cell_without_networks(tiny_cell: CellGraph) -> None:
    with pytest.raises(DataError, match=r"no gene network, which this model needs; expected at least one"):
        encoder(dataclasses.replace(tiny_cell, networks={}))


def test_starts_with_small_embeddings(tiny_cell: CellGraph) -> None:
    embedding = encoder(tiny_cell).embedding
    assert embedding.shape == (tiny_cell.num_genes, WIDTH)
    assert embedding.std().item() == pytest.approx(EMBEDDING_STD, rel=0.15)


@pytest.mark.parametrize(
    ("aggregation", "options"), [("mean", None), ("cross_attention", 3), ("pairwise_interaction", 7)]
)
def test_returns_the_last_layers_attention(
    aggregation: str, options: int | None, tiny_cell: CellGraph
) -> None:
    genes = encoder(tiny_cell, graph_aggregation=aggregation)(StageMonitor())
    assert genes.embeddings.shape == (tiny_cell.num_genes, WIDTH)
    if options is None:
        assert genes.attention is None
    else:
        assert genes.attention is not None
        assert genes.attention.shape == (tiny_cell.num_genes, options)


@pytest.mark.parametrize("convolution", ["gin", "gatv2", "sage", "lightgcn"])
@pytest.mark.parametrize("options", [{}, {"norm": "none", "residual": True}], ids=["norm", "residual"])
@pytest.mark.parametrize("encoding", ["index", "exact"])
def test_all_networks_at_once_are_the_networks_one_by_one(
    encoding: PerturbationName,
    options: dict[str, object],
    convolution: str,
    tiny_cell: CellGraph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a GPU computes at a time, and what a processor does."""
    given = encoder(tiny_cell, convolution=convolution, dropout=0.2, **options).double().train()
    pooling = AttentionalPooling(WIDTH).double()
    batch = GenotypeBatch.from_table(np.array([[0, 5, -1], [7, 8, 9]]))
    weights = [p for p in given.parameters() if p.requires_grad]

    def results() -> list[Tensor]:
        torch.manual_seed(1)
        cells = perturbation_encoding(encoding)(given, pooling, batch, StageMonitor())
        loss = cells.difference.square().sum() + cells.deleted.square().sum()
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return [cells.difference, cells.deleted, *(g for g in found if g is not None)]

    one_by_one = results()
    monkeypatch.setattr(convolutions, "slabs", lambda networks: [networks])
    for found, expected in zip(results(), one_by_one, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
