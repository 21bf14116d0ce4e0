"""The exact encoding computes what the masked copies of the cell compute, gradients included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.gene_names import GeneNames
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.config import EncoderConfig, PerturbationName
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.perturbation import PerturbedCells, interface, perturbation_encoding
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.stages import StageMonitor

NUM_GENES, WIDTH = 60, 8
HUB, LONELY = 0, 59


def cell(seed: int) -> CellGraph:
    """Two networks with a hub that most genes touch, a gene that none touches, and a chain at the end."""
    random = np.random.default_rng(seed)
    hub = np.stack([np.zeros(45, dtype=np.int64), random.choice(np.arange(1, 50), 45, replace=False)])
    sparse = random.integers(0, 50, (2, 70))
    chain = np.stack([np.arange(50, 58), np.arange(51, 59)])
    one = np.concatenate([hub, sparse], axis=1)
    two = np.concatenate([random.integers(0, 50, (2, 60)), chain], axis=1)
    return CellGraph(
        GeneNames(tuple(f"G{i}" for i in range(NUM_GENES))),
        {
            "one": Network.from_pairs("one", one, directed=False, num_genes=NUM_GENES),
            "two": Network.from_pairs("two", two, directed=True, num_genes=NUM_GENES),
        },
    )


def genotypes(seed: int) -> GenotypeBatch:
    """One to three deletions that overlap between genotypes, the hub and the lonely gene among them."""
    random = np.random.default_rng(seed)
    drawn = [sorted(random.choice(12, size, replace=False)) for size in (1, 2, 3, 2, 3)]
    rows = [*drawn, [HUB], [LONELY], [HUB, LONELY], [50], [49, 53, 57], drawn[0]]
    return GenotypeBatch.from_table(np.array([[*row, -1, -1, -1][:3] for row in rows]))


def build_modules(seed: int, changes: Mapping[str, Any]) -> tuple[Encoder, AttentionalPooling]:
    """Weights far from their initial ones, so that every path matters."""
    torch.manual_seed(seed)
    encoder = Encoder(cell(seed), WIDTH, build(EncoderConfig, assign({"num_heads": 2}, changes)))
    pooling = AttentionalPooling(WIDTH)
    with torch.no_grad():
        for parameter in [*encoder.parameters(), *pooling.parameters()]:
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return encoder, pooling


def encode(
    name: PerturbationName, changes: Mapping[str, Any], seed: int, dtype: torch.dtype
) -> tuple[PerturbedCells, dict[str, Tensor]]:
    """Return what an encoding gives and the gradients of a random function of it, in training mode."""
    encoder, pooling = build_modules(seed, changes)
    modules = torch.nn.ModuleList([encoder, pooling]).to(dtype)
    torch.manual_seed(seed + 1)
    cells = perturbation_encoding(name)(encoder, pooling, genotypes(seed), StageMonitor())
    loss = torch.zeros((), dtype=dtype)
    for i, value in enumerate((cells.wild_type, cells.mutant, cells.difference, cells.deleted)):
        weight = torch.randn(value.shape, generator=torch.Generator().manual_seed(i))
        loss = loss + (value * weight.to(dtype)).sum()
    loss.backward()
    gradients = {n: p.grad for n, p in modules.named_parameters() if p.grad is not None}
    assert len(gradients) == len(list(modules.parameters()))
    return cells, gradients


def relative(found: Tensor, expected: Tensor) -> float:
    difference = (found.detach().double() - expected.detach().double()).abs().max()
    return float(difference / expected.detach().abs().max())


def assert_same(changes: Mapping[str, Any], seed: int, dtype: torch.dtype, tolerance: float) -> None:
    """Compare with the copies in double precision: in single, their z_w - z_i is itself only rounding."""
    exact, exact_gradients = encode("exact", changes, seed, dtype)
    masked, gradients = encode("masked", changes, seed, torch.float64)
    for name in ("wild_type", "mutant", "difference", "deleted"):
        assert relative(getattr(exact, name), getattr(masked, name)) < tolerance, name
    largest = max(float(g.abs().max()) for g in gradients.values())
    for name, gradient in gradients.items():
        assert float((exact_gradients[name].double() - gradient).abs().max()) < tolerance * largest, name
    assert masked.difference.abs().amax(1).min() > 0, "every deletion changes something"


CONVOLUTIONS = [
    {"convolution": "gin"},
    {"convolution": "gin", "gin_mlp_layers": 1, "norm": "none"},
    {"convolution": "gin", "gin_mlp_layers": 3, "residual": True},
    {"convolution": "gatv2"},
    {"convolution": "sage"},
    {"convolution": "lightgcn", "residual": True},
]


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("changes", CONVOLUTIONS, ids=lambda c: "-".join(map(str, c.values())))
def test_equals_the_masked_copies(changes: dict[str, Any], layers: int) -> None:
    assert_same({**changes, "num_layers": layers, "dropout": 0.0}, layers, torch.float64, 1e-10)
    assert_same({**changes, "num_layers": layers, "dropout": 0.0}, layers, torch.float32, 1e-5)


@pytest.mark.parametrize("aggregation", ["sum", "mean", "cross_attention", "pairwise_interaction"])
@pytest.mark.parametrize("convolution", ["gin", "gatv2"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_masked_copies_in_every_aggregation(convolution: str, aggregation: str, seed: int) -> None:
    changes = {"convolution": convolution, "graph_aggregation": aggregation, "dropout": 0.0}
    assert_same(changes, seed, torch.float64, 1e-10)
    assert_same(changes, seed, torch.float32, 1e-5)


@pytest.mark.parametrize("convolution", ["gin", "gatv2", "sage"])
def test_dropout_drops_the_same_in_every_genotype(convolution: str) -> None:
    assert_same({"convolution": convolution, "dropout": 0.4}, 0, torch.float64, 1e-10)


@pytest.mark.parametrize("name", ["exact", "masked"])
def test_parts_equal_the_whole(name: PerturbationName, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, gradients = encode(name, {"dropout": 0.3}, 0, torch.float64)
    monkeypatch.setattr(interface, "ROWS_AT_A_TIME", 3 * NUM_GENES)
    parts, parts_gradients = encode(name, {"dropout": 0.3}, 0, torch.float64)
    torch.testing.assert_close(parts.difference, whole.difference, rtol=1e-12, atol=1e-12)
    for key, gradient in gradients.items():
        torch.testing.assert_close(parts_gradients[key], gradient, rtol=1e-10, atol=1e-10)


def test_a_gene_that_holds_nearly_all_the_weight() -> None:
    """Its loss leaves a sum of almost nothing, which a plain subtraction would get wrong."""
    results = {}
    names: list[tuple[PerturbationName, torch.dtype]] = [("exact", torch.float32), ("masked", torch.float64)]
    for name, dtype in names:
        encoder, pooling = build_modules(0, {"dropout": 0.0})
        torch.nn.ModuleList([encoder, pooling]).to(dtype)
        with torch.no_grad():
            genes = encoder(StageMonitor()).embeddings
            for parameter in pooling.gate.parameters():
                parameter.zero_()
            # A gate that looks for the hub: a hidden unit that no other gene excites.
            direction = genes[HUB] - genes.mean(0)
            others = (genes[[g for g in range(NUM_GENES) if g != HUB]] @ direction).max()
            scale = 12 / (genes[HUB] @ direction - others)
            assert scale > 0
            pooling.gate.get_parameter("0.weight")[0] = scale * direction
            pooling.gate.get_parameter("0.bias")[0] = -scale * others
            pooling.gate.get_parameter("2.weight")[0, 0] = 1.0
            weights = torch.softmax(pooling.gate(genes).squeeze(-1), 0)
            assert weights[HUB] > 0.999
            cells = perturbation_encoding(name)(encoder, pooling, genotypes(0), StageMonitor())
        results[name] = cells.difference
    assert relative(results["exact"], results["masked"]) < 1e-5


def test_index_is_what_no_messages_leave() -> None:
    """Without edges nothing but the deleted genes' own share of the pooled cell changes."""
    graph = cell(0)
    no_edges = Network("none", np.empty((2, 0), dtype=np.int64))
    lonely = CellGraph(graph.names, {"none": no_edges})
    torch.manual_seed(0)
    encoder = Encoder(lonely, WIDTH, EncoderConfig(dropout=0.0)).double()
    pooling = AttentionalPooling(WIDTH).double()
    names: list[PerturbationName] = ["index", "masked", "exact"]
    index, *others = (
        perturbation_encoding(name)(encoder, pooling, genotypes(0), StageMonitor()).difference
        for name in names
    )
    for other in others:
        torch.testing.assert_close(other, index, rtol=1e-9, atol=1e-12)
