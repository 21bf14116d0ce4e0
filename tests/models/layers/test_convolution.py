"""Our stacked convolutions equal PyTorch Geometric's, one per network, outputs and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GINConv, SAGEConv

from gisearch.data.cell_graph import Network
from gisearch.models.layers.convolution import GIN, SAGE, GATv2
from gisearch.models.layers.mlp import NetworkLinear
from gisearch.models.layers.neighbours import Neighbours

NUM_GENES, WIDTH = 15, 8
# A dense directed network, a sparse one that leaves genes without neighbours, and one without edges.
EDGES = [60, 6, 0]


@pytest.fixture(autouse=True)
def double_precision() -> None:
    torch.manual_seed(0)


def networks() -> list[Network]:
    rng = np.random.default_rng(0)
    return [
        Network.from_pairs(
            str(n), rng.integers(0, NUM_GENES, size=(2, n)), directed=True, num_genes=NUM_GENES
        )
        for n in EDGES
    ]


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


def copy_linear(ours: NetworkLinear, index: int, theirs: nn.Module) -> None:
    """Copy one network's weights into a linear layer of either library."""
    assert isinstance(theirs.weight, Tensor)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight[index].T)
        if getattr(theirs, "bias", None) is not None:
            assert isinstance(theirs.bias, Tensor)
            theirs.bias.copy_(ours.bias[index, 0])


def compare(ours: nn.Module, theirs: list[nn.Module], pairs: list[tuple[Tensor, list[Tensor]]]) -> None:
    """Compare outputs, the input's gradient, and the gradients of the parameters in ``pairs``.

    Args:
        ours: the stacked convolution.
        theirs: one convolution per network.
        pairs: our parameter and theirs per network, in our layout.
    """
    graph = networks()
    x = torch.randn(NUM_GENES, WIDTH, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(len(graph), NUM_GENES, WIDTH, dtype=torch.float64)
    found = ours(x, Neighbours(graph, NUM_GENES))
    expected = torch.stack([t(x, torch.from_numpy(n.edges)) for t, n in zip(theirs, graph, strict=True)])
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected)
    mine, other = [p for p, _ in pairs], [p for _, parts in pairs for p in parts]
    found_gradients = torch.autograd.grad((found * weight).sum(), [x, *mine])
    expected_gradients = torch.autograd.grad((expected * weight).sum(), [x, *other], allow_unused=True)
    torch.testing.assert_close(found_gradients[0], expected_gradients[0])
    remaining = list(expected_gradients[1:])
    for gradient in found_gradients[1:]:
        for i in range(len(graph)):
            reference = remaining.pop(0)
            if reference is None:  # a network without edges does not use every parameter
                assert (gradient[i] == 0).all()
            else:
                torch.testing.assert_close(gradient[i].reshape(-1), _as_ours(reference).reshape(-1))


def _as_ours(gradient: Tensor) -> Tensor:
    """Linear layers of both libraries store [out, in], ours [in, out]."""
    return gradient.T if gradient.shape == (WIDTH, WIDTH) else gradient


@pytest.mark.parametrize("mlp_layers", [1, 2, 3])
def test_gin(mlp_layers: int) -> None:
    ours = GIN(len(EDGES), WIDTH, mlp_layers=mlp_layers).double()
    randomise(ours)
    linears = [layer for layer in [ours.first, *ours.rest] if isinstance(layer, NetworkLinear)]
    assert len(linears) == mlp_layers
    theirs: list[nn.Module] = []
    inner: list[list[nn.Linear]] = []
    for i in range(len(EDGES)):
        copies = [nn.Linear(WIDTH, WIDTH).double() for _ in linears]
        steps = [step for copy in copies for step in (nn.ReLU(), copy)][1:]
        conv = GINConv(nn.Sequential(*steps), train_eps=True).double()
        # After building the convolution, which draws the weights of its MLP anew.
        for linear, copy in zip(linears, copies, strict=True):
            copy_linear(linear, i, copy)
        with torch.no_grad():
            conv.eps.copy_(ours.eps[i].reshape(conv.eps.shape))
        theirs.append(conv)
        inner.append(copies)
    pairs = [(ours.eps, [t.eps for t in theirs])]
    for layer, linear in enumerate(linears):
        pairs.append((linear.weight, [copies[layer].weight for copies in inner]))
        pairs.append((linear.bias, [copies[layer].bias for copies in inner]))
    compare(ours, theirs, pairs)


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_gatv2(heads: int) -> None:
    ours = GATv2(len(EDGES), WIDTH, heads=heads).double()
    randomise(ours)
    theirs = []
    for i in range(len(EDGES)):
        conv = GATv2Conv(WIDTH, WIDTH // heads, heads=heads, add_self_loops=False).double()
        copy_linear(ours.source, i, conv.lin_l)
        copy_linear(ours.target, i, conv.lin_r)
        with torch.no_grad():
            conv.att.copy_(ours.attention[i].unsqueeze(0))
            conv.bias.copy_(ours.bias[i, 0])
        theirs.append(conv)
    compare(
        ours,
        theirs,
        [
            (ours.source.weight, [t.lin_l.weight for t in theirs]),
            (ours.source.bias, [t.lin_l.bias for t in theirs]),
            (ours.target.weight, [t.lin_r.weight for t in theirs]),
            (ours.target.bias, [t.lin_r.bias for t in theirs]),
            (ours.attention, [t.att for t in theirs]),
            (ours.bias, [t.bias for t in theirs]),
        ],
    )


def test_gatv2_gives_genes_without_neighbours_the_bias_alone() -> None:
    ours = GATv2(len(EDGES), WIDTH, heads=2).double()
    randomise(ours)
    out = ours(torch.randn(NUM_GENES, WIDTH, dtype=torch.float64), Neighbours(networks(), NUM_GENES))
    torch.testing.assert_close(out[2], ours.bias[2].expand(NUM_GENES, -1))


def test_sage() -> None:
    ours = SAGE(len(EDGES), WIDTH).double()
    randomise(ours)
    theirs = []
    for i in range(len(EDGES)):
        conv = SAGEConv(WIDTH, WIDTH, aggr="mean").double()
        copy_linear(ours.mean, i, conv.lin_l)
        copy_linear(ours.own, i, conv.lin_r)
        with torch.no_grad():
            # Theirs has one bias where ours has one per linear layer.
            conv.lin_l.bias += ours.own.bias[i, 0]
        theirs.append(conv)
    compare(
        ours,
        theirs,
        [
            (ours.mean.weight, [t.lin_l.weight for t in theirs]),
            (ours.mean.bias, [t.lin_l.bias for t in theirs]),
            (ours.own.weight, [t.lin_r.weight for t in theirs]),
            (ours.own.bias, [t.lin_l.bias for t in theirs]),
        ],
    )


@pytest.mark.parametrize("make", [GIN, GATv2, SAGE])
def test_runs_in_bfloat16(make: type[nn.Module]) -> None:
    module = make(len(EDGES), WIDTH)
    x, neighbours = torch.randn(NUM_GENES, WIDTH), Neighbours(networks(), NUM_GENES)
    exact = module(x, neighbours)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(x, neighbours)
        out.float().square().sum().backward()
    error = (out.float() - exact).abs().max() / exact.abs().max()
    assert error < 0.05
