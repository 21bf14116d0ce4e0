"""How fast is a training step on 28 genotypes, for each way of encoding what they lack?

    python -m benchmarks perturbation [--json] [--device cuda]

The cell has the published two-network size: 6,607 genes, 144,211 physical and 16,095 regulatory edges. The
reference is the literal lazy model in PyTorch Geometric: a ``Batch`` of masked copies of the cell through
``GINConv``. A step is everything from indices to updated weights: for ``exact`` also the plan of what
changes; the reference gets its batch of copies ready-made. ``index_256`` takes 256 genotypes in a step.
Steps of gisearch keep freed memory, as its training does; ``reference_kept`` is the reference with that.
``index_plain`` takes PyTorch's own products where gisearch would take oneDNN's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.report import Options, Report, measure, run_alone
from benchmarks.timing import timing
from gisearch.config import build
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Target
from gisearch.data.gene_names import GeneNames
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.gene_interaction_dango import GeneInteractionDangoConfig
from gisearch.models.gene_interaction_dango import GeneInteractionDango
from gisearch.models.layers import product
from gisearch.models.layers.mlp import mlp
from gisearch.models.layers.perturbation.masked import kept_genes
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.targets import Targets
from gisearch.training.allocator import freed_memory_kept

NUM_GENES, EDGES = 6607, {"physical": 144_211, "regulatory": 16_095}
WIDTH, LAYERS, BATCH = 64, 2, 28


def reference_cell(num_genes: int = NUM_GENES, edges: Mapping[str, int] = EDGES) -> CellGraph:
    """Random networks with hubs: a gene's share of the edges falls as one over its rank."""
    random = np.random.default_rng(0)
    networks = {}
    for name, number in edges.items():
        directed = name == "regulatory"
        share = 1 / (np.arange(num_genes) + 20)
        share = random.permutation(share / share.sum())
        pairs = random.choice(num_genes, (2, number * 2), p=share)
        pairs = np.unique(np.sort(pairs, axis=0) if not directed else pairs, axis=1)
        pairs = pairs[:, pairs[0] != pairs[1]]
        wanted = number if directed else number // 2
        pairs = pairs[:, random.choice(pairs.shape[1], wanted, replace=False)]
        networks[name] = Network.from_pairs(name, pairs, directed=directed, num_genes=num_genes)
    return CellGraph(GeneNames(tuple(f"G{i}" for i in range(num_genes))), networks)


def triple_deletions(num_genes: int, batch: int) -> GenotypeBatch:
    """Random triples of genes."""
    random = np.random.default_rng(1)
    return GenotypeBatch.from_table(
        np.stack([random.choice(num_genes, 3, replace=False) for _ in range(batch)])
    )


class LazyReference(nn.Module):
    """The lazy model as its authors describe it: every genotype has a masked copy of the whole cell."""

    def __init__(self, cell: CellGraph, ours: GeneInteractionDango) -> None:
        from torch_geometric.nn import GINConv

        super().__init__()
        assert ours.local_predictor is not None
        assert ours.gate is not None
        self.local_predictor, self.gate = ours.local_predictor, ours.gate
        self.global_predictor = ours.global_predictor
        self.embedding = nn.Parameter(torch.randn(cell.num_genes, WIDTH) * 0.02)
        self.preprocessor = mlp([WIDTH, WIDTH, WIDTH], norm="layer", finish=True)
        layers = [
            nn.ModuleList(
                nn.ModuleList([GINConv(mlp([WIDTH] * 3), train_eps=True), nn.LayerNorm(WIDTH)])
                for _ in cell.networks
            )
            for _ in range(LAYERS)
        ]
        self.layers: Sequence[Any] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.norm = nn.LayerNorm(WIDTH)
        self.pooling = AttentionalPooling(WIDTH)

    def encode(self, gene: Tensor, edges: Mapping[str, Tensor]) -> Tensor:
        """Encode rows of any number of cells; ``gene`` says which gene each row is."""
        x = self.preprocessor(self.embedding[gene])
        for layer in self.layers:
            outputs = [
                torch.relu(norm(conv(x, edge)))
                for (conv, norm), edge in zip(layer, edges.values(), strict=True)
            ]
            x = torch.stack(outputs).mean(0)
        encoded: Tensor = self.norm(x)
        return encoded

    def forward(self, wild: Any, copies: Any, batch: GenotypeBatch, kept: Tensor) -> Tensor:
        """Score the genotypes whose masked copies are ``copies``."""
        names = list(EDGES)
        genes = self.encode(wild.gene, {name: wild[f"{name}_edge_index"] for name in names})
        mutants = self.encode(copies.gene, {name: copies[f"{name}_edge_index"] for name in names})
        difference = self.pooling.masked(genes, mutants.view(*kept.shape, -1), kept).difference
        score_global = self.global_predictor(difference * len(genes)).squeeze(-1)
        score_local = self.local_predictor(genes[batch.deleted], batch.present)
        scores = torch.stack([score_local, score_global], dim=-1)
        weighted: Tensor = (torch.softmax(self.gate(scores), dim=-1) * scores).sum(-1)
        return weighted


def masked_copies(cell: CellGraph, batch: GenotypeBatch) -> tuple[Any, Any]:
    """Return the wild type, and a PyG ``Batch`` of copies without the edges of deleted genes."""
    from torch_geometric.data import Batch, Data

    def copy(lost: Sequence[int]) -> Data:
        edges = {}
        for name, network in cell.networks.items():
            edge = torch.tensor(network.edges)
            gone = torch.isin(edge, torch.tensor(lost, dtype=torch.int64)).any(0)
            edges[f"{name}_edge_index"] = edge[:, ~gone]
        return Data(gene=torch.arange(cell.num_genes), num_nodes=cell.num_genes, **edges)

    return copy([]), Batch.from_data_list([copy(row) for row in batch.deleted.tolist()])


def model_of(
    cell: CellGraph, perturbation: str, convolution: str = "gin", num_layers: int = LAYERS
) -> GeneInteractionDango:
    """Return GeneInteractionDango at the published width, without dropout."""
    values = {
        "hidden_dim": WIDTH,
        "perturbation": perturbation,
        "encoder": {"num_layers": num_layers, "dropout": 0.0, "convolution": convolution},
    }
    torch.manual_seed(0)
    return build(GeneInteractionDangoConfig, values).build(cell, Target("gene_interaction", "regression"))


def run_case(
    name: str, options: Options, num_genes: int, edges: Mapping[str, int], size: int = BATCH
) -> dict[str, Any]:
    """Measure one encoding's training step on ``size`` genotypes."""
    torch.set_num_threads(options.threads)
    device = options.device
    cell, batch = reference_cell(num_genes, edges), triple_deletions(num_genes, size).to(device)
    torch.manual_seed(0)
    targets = Targets("gene_interaction", {"gene_interaction": torch.randn(size)}).to(device)
    model: GeneInteractionDango | LazyReference
    if name.startswith("reference"):
        model = lazy = LazyReference(cell, model_of(cell, "index")).to(device)
        wild, copies = (cells.to(device) for cells in masked_copies(cell, batch))
        kept = kept_genes(batch, num_genes)

        def loss() -> Tensor:
            return targets.loss(lazy(wild, copies, batch, kept))
    else:
        model = ours = model_of(cell, name.removesuffix("_plain")).to(device)

        def loss() -> Tensor:
            return ours.training_loss(batch, targets)

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    slow = name in ("reference", "reference_kept", "masked")
    repeats = min(options.repeats, 3) if slow else options.repeats
    plain = (
        patch.object(product, "onednn_is_faster", lambda: False) if name.endswith("_plain") else nullcontext()
    )
    # As gisearch trains; the reference has what a script of its own would have.
    with plain, nullcontext() if name == "reference" else freed_memory_kept():
        measured = timing(step, repeats=repeats, warmup=2, device=device)
    return {**measured, "genotypes_per_second": size / measured["seconds"]}


def benchmark(options: Options) -> Report:
    """Measure every encoding."""
    names = ("reference", "reference_kept", "masked", "exact", "index", "index_plain")
    cases = {name: partial(run_case, name, options, NUM_GENES, EDGES) for name in names}
    cases["index_256"] = partial(run_case, "index", options, NUM_GENES, EDGES, size=256)
    return measure("perturbation", cases, options, sizes=sizes())


def sizes() -> dict[str, int]:
    """What a step is measured on."""
    return {
        "genes": NUM_GENES,
        "edges": sum(EDGES.values()),
        "batch": BATCH,
        "width": WIDTH,
        "layers": LAYERS,
    }


if __name__ == "__main__":
    sys.exit(run_alone("perturbation", __doc__, benchmark))
