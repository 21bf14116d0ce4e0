"""The reconstruction loss against the plain N x N form, its gradients, and whose zeros count how much."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gisearch.config import build
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.errors import ConfigError, DataError
from gisearch.models.layers.config import ReconstructionConfig
from gisearch.models.layers.reconstruction import Reconstruction
from gisearch.models.layers.separate_neighbours import SeparateNeighbours

WIDTH = 12
SIX = ["string9_1_neighborhood", "fusion", "cooccurence", "coexpression", "v11_experimental", "database"]


def random_network(name: str, num_genes: int, num_edges: int, seed: int, *, directed: bool) -> Network:
    pairs = np.random.default_rng(seed).integers(0, num_genes, (2, num_edges))
    return Network.from_pairs(name, pairs, directed=directed, num_genes=num_genes)


@pytest.fixture(scope="module")
def networks() -> list[Network]:
    """A directed one, an empty one, a dense one, and one that leaves most genes without an edge."""
    return [
        random_network("directed", 50, 200, 0, directed=True),
        random_network("empty", 50, 0, 1, directed=False),
        random_network("dense", 50, 900, 2, directed=False),
        random_network("small", 50, 5, 3, directed=False),
    ]


def dense_loss(
    x: Tensor, weight: Tensor, bias: Tensor, networks: list[Network], lambdas: list[float]
) -> Tensor:
    """The definition: predict every entry of every adjacency matrix, and average weighted squares."""
    losses = []
    for i, network in enumerate(networks):
        adjacency = torch.zeros(x.shape[1], x.shape[1], dtype=x.dtype)
        source, target = torch.from_numpy(network.edges)
        adjacency[target, source] = 1.0
        predicted = x[i] @ weight[i].T + bias[i]
        weights = adjacency + lambdas[i] * (1 - adjacency)
        losses.append((weights * (predicted - adjacency) ** 2).mean())
    return torch.stack(losses).mean()


def prepare(
    networks: list[Network], lambdas: list[float], dtype: torch.dtype, num_genes: int = 50
) -> tuple[Reconstruction, SeparateNeighbours, Tensor]:
    torch.manual_seed(4)
    neighbours = SeparateNeighbours(networks, num_genes)
    layer = Reconstruction(neighbours, WIDTH, lambdas).to(dtype)
    layer.weight.data.normal_(std=0.3)
    layer.bias.data.normal_(std=0.3)
    x = torch.randn(len(networks), num_genes, WIDTH, dtype=dtype, requires_grad=True)
    return layer, neighbours, x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "lambdas", [[1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, 0.1], [0.1, 1.0, 1.0, 0.0], [1.0, 0.5, 0.25, 1.0]]
)
def test_equals_the_dense_form_with_its_gradients(
    lambdas: list[float], dtype: torch.dtype, networks: list[Network]
) -> None:
    layer, neighbours, x = prepare(networks, lambdas, dtype)
    found, expected = layer(x, neighbours), dense_loss(x, layer.weight, layer.bias, networks, lambdas)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert found.item() == pytest.approx(expected.item(), rel=tolerance)
    inputs = [x, layer.weight, layer.bias]
    # A factor, because a gradient that ignored what comes after the loss would pass without one.
    for one, other in zip(
        torch.autograd.grad(3 * found, inputs), torch.autograd.grad(3 * expected, inputs), strict=True
    ):
        assert (one - other).abs().max() <= tolerance * other.abs().max()


def test_stays_equal_where_the_reconstruction_is_good(networks: list[Network]) -> None:
    """The two sums of the loss nearly cancel there; 200 steps of the dense form lead to such weights."""
    lambdas = [0.1, 1.0, 0.1, 1.0]
    layer, neighbours, x = prepare(networks, lambdas, torch.float32)
    inputs = [x, layer.weight, layer.bias]
    optimizer = torch.optim.Adam(inputs, lr=0.02)
    first = layer(x, neighbours).item()
    for _ in range(200):
        optimizer.zero_grad()
        dense_loss(x, layer.weight, layer.bias, networks, lambdas).backward()
        optimizer.step()
    expected = dense_loss(x, layer.weight, layer.bias, networks, lambdas)
    assert expected.item() < first / 50, "the reconstruction is good"
    assert layer(x, neighbours).item() == pytest.approx(expected.item(), rel=1e-5)


def test_no_gradient_is_asked_for_in_an_evaluation(networks: list[Network]) -> None:
    lambdas = [0.1, 1.0, 0.1, 1.0]
    layer, neighbours, x = prepare(networks, lambdas, torch.float32)
    with torch.no_grad():
        found = layer(x, neighbours)
    assert not found.requires_grad
    assert found.item() == pytest.approx(layer(x, neighbours).item(), rel=1e-6)


def test_bfloat16_embeddings_give_a_single_precision_loss(networks: list[Network]) -> None:
    lambdas = [0.1, 1.0, 0.1, 1.0]
    layer, neighbours, x = prepare(networks, lambdas, torch.float32)
    rounded = x.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(rounded, neighbours)
    assert found.dtype == torch.float32
    expected = dense_loss(rounded.float(), layer.weight, layer.bias, networks, lambdas)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert rounded.grad is not None
    assert rounded.grad.dtype == torch.bfloat16


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any operation gave back."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self.elements = max(self.elements, tensor.numel())
        return out


def test_builds_nothing_of_size_n_by_n_or_edges_by_width() -> None:
    num_genes, lambdas = 700, [0.1, 1.0]
    large = [random_network(name, num_genes, 12_000, 5, directed=False) for name in ("one", "two")]
    layer, neighbours, x = prepare(large, lambdas, torch.float32, num_genes)
    edges = len(neighbours.source)
    with LargestTensor() as largest:
        layer(x, neighbours).backward()
    assert largest.elements <= max(edges, 2 * num_genes * (WIDTH + 1))
    assert largest.elements < min(num_genes**2, large[0].num_edges * WIDTH)
    with LargestTensor() as largest:
        dense_loss(x, layer.weight, layer.bias, large, lambdas).backward()
    assert largest.elements >= num_genes**2, "the mode would have noticed"


def test_zeros_of_the_uncertain_channels_count_a_tenth() -> None:
    assert ReconstructionConfig().check(SIX) == (0.1, 1.0, 1.0, 0.1, 0.1, 1.0)
    config = ReconstructionConfig(uncertain_lambda=0.3, default_lambda=0.7)
    assert config.check([*SIX, "physical", "coexpressions"]) == (0.3, 0.7, 0.7, 0.3, 0.3, 0.7, 0.7, 0.7)


def test_a_given_lambda_wins_and_a_full_name_over_its_channel() -> None:
    names = ["string9_1_fusion", "string11_0_fusion", "coexpression", "physical"]
    config = ReconstructionConfig(lambdas={"fusion": 0.4, "string11_0_fusion": 0.6, "coexpression": 1.0})
    assert config.check(names) == (0.4, 0.6, 1.0, 1.0)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("coexpresion", "coexpression"), ("neigborhood", "neighborhood"), ("databse", "database")],
)
def test_a_lambda_of_an_unknown_network_names_the_nearest(key: str, nearest: str) -> None:
    message = f"model.reconstruction.lambdas: the model has no network '{key}' (it has: {', '.join(SIX)})."
    with pytest.raises(DataError, match=re.escape(f"{message} Did you mean {nearest!r}?")):
        ReconstructionConfig(lambdas={key: 0.5}).check(SIX)


def test_a_lambda_outside_its_limits_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"lambdas\.fusion: .*less than or equal to 1"):
        build(ReconstructionConfig, {"lambdas": {"fusion": 1.5}}, "model.reconstruction")


def test_the_demo_cell_has_one_uncertain_network(tiny_cell: CellGraph) -> None:
    names = list(tiny_cell.networks)
    lambdas = dict(zip(names, ReconstructionConfig().check(names), strict=True))
    assert lambdas == {
        "physical": 1.0,
        "regulatory": 1.0,
        "coexpression": 0.1,
    }
