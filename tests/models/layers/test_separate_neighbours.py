"""Every network's own features against the shared form, network by network."""

from __future__ import annotations

import torch

from gisearch.data.cell_graph import CellGraph
from gisearch.models.layers.convolution import SAGE
from gisearch.models.layers.neighbours import Neighbours
from gisearch.models.layers.separate_neighbours import SeparateNeighbours


def test_each_network_passes_its_own_features_only(tiny_cell: CellGraph) -> None:
    networks, num_genes = list(tiny_cell.networks.values()), tiny_cell.num_genes
    separate = SeparateNeighbours(networks, num_genes)
    torch.manual_seed(0)
    x = torch.randn(len(networks), num_genes, 5, dtype=torch.float64, requires_grad=True)
    alone = [Neighbours([network], num_genes) for network in networks]
    for name in ("sum", "mean"):
        found = getattr(separate, name)(x)
        expected = torch.cat([getattr(one, name)(x[i]) for i, one in enumerate(alone)])
        torch.testing.assert_close(found, expected)
        weight = torch.randn_like(found)
        torch.testing.assert_close(
            torch.autograd.grad((found * weight).sum(), x), torch.autograd.grad((expected * weight).sum(), x)
        )


def test_shared_features_give_what_the_shared_form_gives(tiny_cell: CellGraph) -> None:
    networks, num_genes = list(tiny_cell.networks.values()), tiny_cell.num_genes
    torch.manual_seed(0)
    sage, x = SAGE(len(networks), 5), torch.randn(num_genes, 5)
    expected = sage(x, Neighbours(networks, num_genes))
    found = sage(x.expand(len(networks), -1, -1), SeparateNeighbours(networks, num_genes))
    torch.testing.assert_close(found, expected)


def test_the_graph_is_in_buffers_that_are_not_saved(tiny_cell: CellGraph) -> None:
    separate = SeparateNeighbours(list(tiny_cell.networks.values()), tiny_cell.num_genes)
    assert separate.state_dict() == {}
    assert (separate.num_networks, separate.num_genes) == (3, tiny_cell.num_genes)
