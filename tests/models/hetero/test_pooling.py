"""Pooling without lost nodes, against pooling what is left."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gisearch.models.hetero.pooling import NodePooling
from gisearch.models.layers.gene_rules import LostNodes

NODES, WIDTH = 15, 6
LOST = [[3], [3, 8], [], [0, 1, 2, 4, 14], [7]]


def lost_nodes() -> LostNodes:
    pairs = [(row, node) for row, nodes in enumerate(LOST) for node in nodes]
    return LostNodes(*torch.tensor(pairs).T, num_genotypes=len(LOST))


def left_out(pooling: NodePooling, x: Tensor) -> Tensor:
    """Literally leave the lost nodes out."""
    mutants = []
    for nodes in LOST:
        kept = [node for node in range(NODES) if node not in nodes]
        mutants.append(pooling(x[kept]))
    return NODES * (pooling(x) - torch.cat(mutants))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_leaving_nodes_out(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    pooling, x = NodePooling(WIDTH).to(dtype), torch.randn(NODES, WIDTH, dtype=dtype)
    change = pooling.change(x, lost_nodes())
    assert change.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(change, left_out(pooling, x), rtol=tolerance, atol=tolerance)
    assert torch.equal(change[2], torch.zeros(WIDTH, dtype=dtype)), "nothing lost"


def test_gradients_equal_those_of_leaving_nodes_out() -> None:
    torch.manual_seed(0)
    pooling = NodePooling(WIDTH).double()
    x = torch.randn(NODES, WIDTH, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(len(LOST), WIDTH, dtype=torch.float64)
    inputs = [x, *pooling.parameters()]
    fast = torch.autograd.grad((pooling.change(x, lost_nodes()) * direction).sum(), inputs)
    literal = torch.autograd.grad((left_out(pooling, x) * direction).sum(), inputs)
    for one, other in zip(fast, literal, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_stays_accurate_where_a_lost_node_holds_nearly_all_weight() -> None:
    torch.manual_seed(0)
    pooling, x = NodePooling(WIDTH), torch.randn(NODES, WIDTH)
    logits = torch.zeros(NODES)
    logits[3] = 20.0  # all but 3e-8 of the weight

    class Gate(torch.nn.Module):
        def forward(self, nodes: Tensor) -> Tensor:
            return (logits if len(nodes) == NODES else torch.zeros(len(nodes))).to(nodes).unsqueeze(-1)

    pooling.gate = Gate()  # type: ignore[assignment]
    lost = LostNodes(torch.tensor([0]), torch.tensor([3]), 1)
    kept = [node for node in range(NODES) if node != 3]
    expected = NODES * (pooling(x) - pooling(x[kept]))
    torch.testing.assert_close(pooling.change(x, lost), expected, rtol=1e-4, atol=1e-4)


def test_copies_alike_equal_the_wild_type_without_lost_nodes() -> None:
    torch.manual_seed(0)
    pooling, x = NodePooling(WIDTH).double(), torch.randn(NODES, WIDTH, dtype=torch.float64)
    lost = lost_nodes()
    copies = x.expand(len(LOST), -1, -1).clone()
    copies[lost.genotype, lost.node] = 100.0
    torch.testing.assert_close(
        pooling.change_of_copies(x, copies, lost.kept(NODES)), pooling.change(x, lost), rtol=1e-9, atol=1e-9
    )


def test_losing_everything_is_finite() -> None:
    pooling, x = NodePooling(WIDTH), torch.randn(NODES, WIDTH)
    everything = LostNodes(torch.zeros(NODES, dtype=torch.int64), torch.arange(NODES), 1)
    assert torch.isfinite(pooling.change(x, everything)).all()
    copies = pooling.change_of_copies(x, x.unsqueeze(0), everything.kept(NODES))
    assert torch.isfinite(copies).all()
