"""What torch-scatter gains: ``python -m benchmarks scatter [--json] [--device cuda]``.

A training step of GeneInteractionDango with GATv2, the only convolution here that PyTorch Geometric computes
with torch-scatter where that is installed, at the published two-network size. ``without`` hides the package.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from typing import Any

from benchmarks.report import Options, Report, SkippedError, measure, run_alone
from benchmarks.timing import timing


def run_case(use_scatter: bool, options: Options) -> dict[str, Any]:
    """Measure a step, with or without torch-scatter."""
    if not use_scatter:
        # PyTorch Geometric looks once, when it is imported.
        sys.modules["torch_scatter"] = None  # type: ignore[assignment]
    import torch

    from benchmarks.perturbation import BATCH, model_of, reference_cell, triple_deletions
    from gisearch.models.targets import Targets
    from gisearch.training.allocator import freed_memory_kept

    torch.set_num_threads(options.threads)
    cell = reference_cell()
    model = model_of(cell, "index", convolution="gatv2").to(options.device)
    batch = triple_deletions(cell.num_genes, BATCH).to(options.device)
    targets = Targets("gene_interaction", {"gene_interaction": torch.randn(BATCH)}).to(options.device)

    def step() -> None:
        model.zero_grad()
        model.training_loss(batch, targets).backward()

    with freed_memory_kept():
        return timing(step, repeats=options.repeats, warmup=2, device=options.device)


def benchmark(options: Options) -> Report:
    """Measure both.

    Raises:
        SkippedError: torch-scatter is not installed.
    """
    if find_spec("torch_scatter") is None:
        raise SkippedError(
            "scatter: torch-scatter is not installed, so there is nothing to compare (docs/installation.md "
            "says how to install it)."
        )
    from benchmarks.perturbation import sizes

    cases = {"without": partial(run_case, False, options), "with": partial(run_case, True, options)}
    return measure("scatter", cases, options, sizes=sizes())


if __name__ == "__main__":
    sys.exit(run_alone("scatter", __doc__, benchmark))
