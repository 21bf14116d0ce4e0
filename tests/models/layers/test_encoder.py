"""What the encoder takes from the cell graph, and how it refuses what is not there."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gisearch.data.cell_graph import CellGraph
from gisearch.errors import DataError
from gisearch.models.layers.config import EncoderConfig
from gisearch.models.layers.encoder import EMBEDDING_STD, Encoder
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
