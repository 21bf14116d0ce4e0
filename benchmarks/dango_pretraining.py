"""What reconstructing networks costs: ``python -m benchmarks dango_pretraining [--json] [--device cuda]``.

A step is a forward pass, the reconstruction loss and the backward pass of Dango's pretraining on six
generated networks of about the sizes of STRING's channels, over the genes of the reference yeast cell.
``dense`` predicts every N x N adjacency matrix and averages its weighted squared errors; ``gram`` is the
model's own form.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from benchmarks.report import Options, Report, measure, run_alone
from benchmarks.timing import timing

NUM_GENES = 6_607
# Directed edges per gene of STRING's channels, as in the demo cell's size yeast_large.
MEAN_DEGREES = {
    "neighborhood": 22.0,
    "fusion": 2.0,
    "cooccurence": 4.0,
    "coexpression": 150.0,
    "experimental": 110.0,
    "database": 20.0,
}


def run_case(
    form: str, options: Options, *, num_genes: int, mean_degrees: Mapping[str, float], width: int
) -> dict[str, Any]:
    """Measure the steps of one form of the loss; every form has the same networks and weights."""
    import torch

    from gisearch.data.cell_graph import CellGraph
    from gisearch.data.synthetic import DemoCellConfig
    from gisearch.data.synthetic.config import DemoNetworkConfig
    from gisearch.data.synthetic.networks import build_networks
    from gisearch.data.synthetic.structure import build_structure, gene_names
    from gisearch.models.dango import DangoPreTrain
    from gisearch.models.layers.config import GeneInputsConfig, ReconstructionConfig
    from gisearch.models.layers.stages import StageMonitor
    from gisearch.training.allocator import freed_memory_kept

    torch.set_num_threads(options.threads)
    device = options.device
    channels = {
        name: DemoNetworkConfig(mean_degree=degree, noise=0.35, modules_seen=0.5)
        for name, degree in mean_degrees.items()
    }
    # About 44 genes per module, as in the demo cell's size yeast_large.
    config = DemoCellConfig(
        num_genes=num_genes,
        num_modules=max(2, num_genes // 44),
        num_complexes=0,
        networks=channels,
        num_screened=num_genes,
        num_single=num_genes,
        num_double=1,
        num_triple=0,
    )
    networks = list(build_networks(config, build_structure(config)).values())
    cell = CellGraph(gene_names(config), {network.name: network for network in networks})
    lambdas = ReconstructionConfig().check(list(mean_degrees))
    torch.manual_seed(0)
    model = DangoPreTrain(networks, cell, width, lambdas, GeneInputsConfig()).to(device)
    monitor = StageMonitor()
    adjacency = []
    if form == "dense":
        for network in networks:
            source, target = torch.from_numpy(network.edges)
            matrix = torch.zeros(num_genes, num_genes).index_put_((target, source), torch.ones(()))
            adjacency.append(matrix.to(device))

    def dense_loss() -> torch.Tensor:
        per_network, layer = model(monitor), model.reconstruction
        losses = []
        for i, truth in enumerate(adjacency):
            predicted = per_network[i] @ layer.weight[i].T + layer.bias[i]
            weights = torch.where(truth > 0, 1.0, lambdas[i])
            losses.append((weights * (predicted - truth).square()).mean())
        return torch.stack(losses).mean()

    def gram_loss() -> torch.Tensor:
        return model.loss(model(monitor), monitor)

    loss = {"dense": dense_loss, "gram": gram_loss}[form]

    def step() -> None:
        model.zero_grad()
        loss().backward()

    # As gisearch trains.
    with freed_memory_kept() if form == "gram" else nullcontext():
        measured = timing(step, repeats=options.repeats, warmup=2, device=device)
    edges = sum(network.num_edges for network in networks)
    return {**measured, "loss": loss().item(), "edges": edges}


def run(
    options: Options,
    *,
    num_genes: int = NUM_GENES,
    mean_degrees: Mapping[str, float] = MEAN_DEGREES,
    width: int = 64,
) -> Report:
    """Measure both forms, and how far the losses are apart relative to the dense one's."""
    case = partial(
        run_case, options=options, num_genes=num_genes, mean_degrees=dict(mean_degrees), width=width
    )
    sizes = {"genes": num_genes, "mean_degrees": dict(mean_degrees), "width": width}
    cases = {form: partial(case, form) for form in ("dense", "gram")}
    report = measure("dango_pretraining", cases, options, sizes=sizes)
    reference = report.rows[0].facts["loss"]
    return report.with_facts(
        lambda row: {"relative_difference": abs(row.facts["loss"] - reference) / reference}
    )


def benchmark(options: Options) -> Report:
    """Measure both forms at the size of the reference yeast cell."""
    return run(options)


if __name__ == "__main__":
    sys.exit(run_alone("dango_pretraining", __doc__, benchmark))
