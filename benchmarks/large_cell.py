"""How many training steps a second on a large cell, and how far is that from what memory allows?

    python -m benchmarks large_cell [--json] [--device cuda]

Nine networks with 2.4 million edges over 6,607 genes, width 64, three layers, 28 triple deletions. A step is
forward, backward and update; for ``exact`` also the plan of what changes. ``floor_seconds`` is what moving
the bytes that no implementation can avoid takes at the bandwidth that a copy reaches on the same device.
``index_given_back`` lets the C library hand freed memory back to the system, as it does by itself. On a GPU
``index_recorded`` replays a recorded step (``trainer.record_steps``), also with products in bfloat16.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.report import Options, Report, measure, run_alone
from benchmarks.timing import timing

if TYPE_CHECKING:
    from torch import Tensor

    from gisearch.models.batch import GenotypeBatch
    from gisearch.models.targets import Targets

NUM_GENES, NUM_NETWORKS, NUM_EDGES = 6607, 9, 2_400_000
WIDTH, LAYERS, BATCH = 64, 3, 28
_FLOAT, _INDEX = 4, 8
# Activations of a convolution that its gradient needs: the neighbour sum, the hidden and the output layer.
_KEPT = 3
_COPIED_MB = 256


def edges_of(num_networks: int, num_edges: int) -> dict[str, int]:
    """Divide the edges evenly among undirected networks."""
    return {f"network_{g}": num_edges // num_networks // 2 * 2 for g in range(num_networks)}


def step_bytes(num_genes: int, num_networks: int, num_edges: int, width: int, layers: int) -> int:
    """Return the bytes that a step moves at least between memory and processor.

    Per layer and network, what the gradient needs is written and read once, and the gradient of the
    neighbour sum is written and read; every edge is read once forward and once backward. Gathered rows are
    taken to come from the cache, weights and the pathways behind the encoder to weigh nothing. The embedding
    is read, and its gradient, two moments and itself are read or written by the update.
    """
    rows = num_networks * num_genes * width * _FLOAT
    genes = num_genes * width * _FLOAT
    layer = (2 * _KEPT + 2) * rows + 4 * genes + 2 * num_edges * _INDEX
    return layers * layer + 8 * genes


def bandwidth(options: Options) -> float:
    """Return the bytes per second that a copy reads and writes, with the best of several repeats."""
    import torch

    torch.set_num_threads(options.threads)
    source = torch.ones(_COPIED_MB * 2**20 // _FLOAT, device=options.device)
    target = torch.empty_like(source)
    seconds = min(
        timing(lambda: target.copy_(source), repeats=1, device=options.device)["seconds"] for _ in range(5)
    )
    return 2 * source.numel() * _FLOAT / float(seconds)


def run_case(
    perturbation: str,
    options: Options,
    *,
    bf16: bool = False,
    record: bool = False,
    keep: bool = True,
    num_genes: int = NUM_GENES,
    num_networks: int = NUM_NETWORKS,
    num_edges: int = NUM_EDGES,
) -> Mapping[str, Any]:
    """Measure one encoding's training step."""
    import torch

    from benchmarks.perturbation import model_of, reference_cell, triple_deletions
    from gisearch.models.targets import Targets
    from gisearch.training.allocator import freed_memory_kept
    from gisearch.training.recording import RecordedStep

    torch.set_num_threads(options.threads)
    device = options.device
    cell = reference_cell(num_genes, edges_of(num_networks, num_edges))
    model = model_of(cell, perturbation, num_layers=LAYERS).to(device)
    batch = triple_deletions(num_genes, BATCH).to(device)
    targets = Targets("gene_interaction", {"gene_interaction": torch.randn(BATCH)}).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def loss(batch: GenotypeBatch, targets: Targets) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            return model.training_loss(batch, targets)

    recorded = RecordedStep(model, loss, batch, targets) if record else None

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        if recorded is None:
            loss(batch, targets).backward()
        else:
            recorded(batch, targets)
        optimizer.step()

    # A GPU needs some steps until its clock and its memory are settled.
    on_gpu = device == "cuda"
    repeats, warmup = (20 * options.repeats, 10) if on_gpu else (options.repeats, 2)
    with freed_memory_kept() if keep else nullcontext():
        measured = timing(step, repeats=repeats, warmup=warmup, device=device)
    total = sum(network.num_edges for network in cell.networks.values())
    floor = step_bytes(num_genes, num_networks, total, WIDTH, LAYERS) / bandwidth(options)
    return {
        **measured,
        "steps_per_second": 1 / measured["seconds"],
        "floor_seconds": floor,
        "times_the_floor": measured["seconds"] / floor,
    }


def benchmark(options: Options) -> Report:
    """Measure both encodings; ``index`` on a GPU also recorded, on processors also without kept memory."""
    cases = {"index": partial(run_case, "index", options)}
    if options.device == "cuda":
        cases["index_recorded"] = partial(run_case, "index", options, record=True)
        cases["index_recorded_bf16"] = partial(run_case, "index", options, record=True, bf16=True)
    else:
        cases["index_given_back"] = partial(run_case, "index", options, keep=False)
    cases["exact"] = partial(run_case, "exact", options)
    sizes = {
        "genes": NUM_GENES,
        "networks": NUM_NETWORKS,
        "edges": NUM_EDGES,
        "batch": BATCH,
        "width": WIDTH,
        "layers": LAYERS,
    }
    return measure("large_cell", cases, options, sizes=sizes)


if __name__ == "__main__":
    sys.exit(run_alone("large_cell", __doc__, benchmark))
