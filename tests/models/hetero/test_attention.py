"""Attention between node types, against PyTorch Geometric's GATv2."""

from __future__ import annotations

import pytest
import torch

from gisearch.models.hetero.attention import RelationAttention
from gisearch.models.hetero.graph import Edges

SOURCES, TARGETS, WIDTH, HEADS = 9, 6, 8, 2


def random_edges(seed: int = 0) -> Edges:
    """Edges to all targets but the last, without duplicates."""
    torch.manual_seed(seed)
    pairs = (torch.rand(SOURCES, TARGETS - 1) < 0.4).nonzero()
    pairs = pairs[torch.randperm(len(pairs))]
    return Edges(pairs[:, 0], pairs[:, 1], torch.randn(len(pairs)))


@pytest.mark.parametrize("edge_features", [False, True])
def test_equals_pytorch_geometric(edge_features: bool) -> None:
    from torch_geometric.nn import GATv2Conv

    edges = random_edges()
    layer = RelationAttention(WIDTH, HEADS, edge_features=edge_features)
    reference = GATv2Conv(
        (WIDTH, WIDTH), WIDTH // HEADS, HEADS, add_self_loops=False, edge_dim=1 if edge_features else None
    )
    with torch.no_grad():
        reference.lin_l.weight.copy_(layer.source.weight)
        reference.lin_l.bias.zero_()
        reference.lin_r.weight.copy_(layer.target.weight)
        reference.lin_r.bias.copy_(layer.target.bias)
        reference.att.copy_(layer.attention.unsqueeze(0))
        reference.bias.copy_(layer.bias.normal_())
        if layer.edge is not None:
            reference.lin_edge.weight.copy_(layer.edge.weight)
    sources, targets = torch.randn(SOURCES, WIDTH), torch.randn(TARGETS, WIDTH)
    attr = edges.weight.unsqueeze(-1) if edge_features and edges.weight is not None else None
    expected = reference((sources, targets), torch.stack([edges.source, edges.target]), edge_attr=attr)
    torch.testing.assert_close(layer(sources, targets, edges), expected)


def test_a_target_without_edges_gets_the_bias() -> None:
    layer = RelationAttention(WIDTH, HEADS)
    torch.nn.init.normal_(layer.bias)
    out = layer(torch.randn(SOURCES, WIDTH), torch.randn(TARGETS, WIDTH), random_edges())
    torch.testing.assert_close(out[-1], layer.bias)
    assert not torch.allclose(out[0], layer.bias)


def test_no_edges_at_all() -> None:
    layer = RelationAttention(WIDTH, HEADS)
    none = torch.zeros(0, dtype=torch.int64)
    out = layer(torch.randn(SOURCES, WIDTH), torch.randn(TARGETS, WIDTH), Edges(none, none))
    assert torch.equal(out, torch.zeros(TARGETS, WIDTH))


def test_large_logits_do_not_overflow() -> None:
    layer = RelationAttention(WIDTH, HEADS)
    sources = (torch.randn(SOURCES, WIDTH) * 1e4).requires_grad_()
    out = layer(sources, torch.randn(TARGETS, WIDTH), random_edges())
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(sources.grad).all()
