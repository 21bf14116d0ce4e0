"""What the encoder asks of the data, and which way messages run."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph
from gisearch.errors import DataError
from gisearch.models.hetero.config import HeteroEncoderConfig
from gisearch.models.hetero.encoder import HeteroEncoder
from gisearch.models.layers.stages import StageMonitor

WIDTH = 8


def make(cell: CellGraph, metabolic: Any = "hypergraph", **options: Any) -> HeteroEncoder:
    torch.manual_seed(0)
    return HeteroEncoder(cell, WIDTH, HeteroEncoderConfig(num_heads=2, **options), metabolic).eval()


def genes_of(encoder: HeteroEncoder) -> Tensor:
    genes: Tensor = encoder(encoder.cell.wild_type(), 1, StageMonitor()).genes
    return genes


@pytest.mark.parametrize(
    ("changes", "networks", "message"),
    [
        (
            {"metabolism": None},
            None,
            r"the data has no metabolism, which this model encodes; expected data=demo, data=yeast with "
            r"data\.metabolism=true and yeast-GEM in data\.root, or data=tables with data\.metabolism=FILE\.",
        ),
        ({"networks": {}}, None, "the data has no gene network"),
        ({}, ["physica"], r"no network 'physica'.*Did you mean 'physical'\?"),
    ],
)
def test_what_the_data_lacks_is_an_error(
    changes: dict[str, Any], networks: list[str] | None, message: str, tiny_cell: CellGraph
) -> None:
    cell = dataclasses.replace(tiny_cell, **changes)
    config = HeteroEncoderConfig(networks=networks)
    with pytest.raises(DataError, match=message):
        config.check(cell)
    with pytest.raises(DataError, match=message):
        HeteroEncoder(cell, WIDTH, config, "hypergraph")


@pytest.mark.parametrize("metabolic", ["hypergraph", "bipartite"])
def test_a_metabolite_reaches_the_genes_in_two_rounds(metabolic: str, tiny_cell: CellGraph) -> None:
    """Metabolite to reaction, reaction to gene: one round is too few, and only such genes are reached."""
    metabolism = tiny_cell.metabolism
    assert metabolism is not None
    metabolite = int(metabolism.incidence[0, 0])
    reactions = metabolism.incidence[1, metabolism.incidence[0] == metabolite]
    catalysts = np.unique(metabolism.gene_reaction[0, np.isin(metabolism.gene_reaction[1], reactions)])
    assert 0 < len(catalysts) < tiny_cell.num_genes
    for layers in (1, 2):
        encoder = make(tiny_cell, metabolic, num_layers=layers)
        before = genes_of(encoder)
        with torch.no_grad():
            encoder.metabolites[metabolite] += 1.0
        moved = (genes_of(encoder) - before).abs().amax(1) > 1e-6
        assert moved.nonzero().flatten().tolist() == (catalysts.tolist() if layers == 2 else [])


def test_networks_are_used_in_the_order_asked_for(tiny_cell: CellGraph) -> None:
    encoder = make(tiny_cell, networks=["regulatory"])
    wild_type = encoder.cell.wild_type()
    assert len(wild_type.networks) == 1
    expected = torch.tensor(tiny_cell.networks["regulatory"].edges)
    assert torch.equal(torch.stack([wild_type.networks[0].source, wild_type.networks[0].target]), expected)


def test_degrees_are_added_to_the_embeddings(tiny_cell: CellGraph) -> None:
    assert make(tiny_cell, degrees=False).degrees is None
    encoder = make(tiny_cell)
    before = genes_of(encoder)
    assert encoder.degrees is not None
    torch.nn.init.zeros_(encoder.degrees.weight)
    assert not torch.allclose(genes_of(encoder), before)


def test_embedding_dropout_leaves_out_whole_embeddings_in_training_only(tiny_cell: CellGraph) -> None:
    encoder = make(tiny_cell, embedding_dropout=0.5, degrees=False, dropout=0.0)
    assert torch.equal(genes_of(encoder), genes_of(encoder))
    # Without layers, what the encoder returns is what enters them.
    encoder.layers = torch.nn.ModuleList()
    torch.testing.assert_close(genes_of(encoder), encoder.genes.data)
    encoder.train()
    entered = genes_of(encoder)
    left_out = (entered == 0).all(1)
    assert 5 < left_out.sum() < tiny_cell.num_genes - 5
    assert torch.equal(entered[~left_out], encoder.genes[~left_out])
