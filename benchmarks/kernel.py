"""How long does the kernel model take to fit, and how many pairs does it score in a minute?

    python -m benchmarks kernel [--json]
    python -m benchmarks.kernel [--json] [--large 400000]

The kernel model with its defaults on a cell of 6,607 genes with three networks. ``small`` fits 12,000 pairs
of 1,260 genes, ``large`` 400,000 of 1,400, until conjugate gradients have converged: kernels, the three folds
that calibrate, and the solution. ``screen`` scores all pairs of the cell by the small fit on one thread, with
the tables that it makes first; ``seconds`` are those per million pairs.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.perturbation import NUM_GENES, reference_cell
from benchmarks.report import Options, Report, finish, measure, options_of, parser_of
from gisearch.config import build
from gisearch.data.candidates import Candidates
from gisearch.data.dataset import Target
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.kernel import PairwiseKernelConfig
from gisearch.models.kernel import PairwiseKernel
from gisearch.models.targets import Targets

EDGES = {"regulatory": 190_000, "physical": 22_000, "database": 67_000}
SMALL, LARGE = (12_000, 1_260), (400_000, 1_400)
_AT_A_TIME = 2**10


def screen_of(count: int, genes: int, num_genes: int) -> tuple[GenotypeBatch, Targets]:
    """Return pairs of some genes, a tenth of them queries of most, and labels of a few hidden traits."""
    random = np.random.default_rng(0)
    chosen = random.permutation(num_genes)[:genes]
    share = np.where(np.arange(genes) < genes // 10, 10.0, 1.0) if count < genes**2 // 8 else np.ones(genes)
    pairs = np.empty((0, 2), dtype=np.int64)
    while len(pairs) < count:
        drawn = np.sort(random.choice(genes, (2 * count, 2), p=share / share.sum()), axis=1)
        pairs = np.unique(np.concatenate([pairs, drawn[drawn[:, 0] < drawn[:, 1]]]), axis=0)
    pairs = random.permutation(pairs)[:count]
    traits = random.normal(size=(genes, 8))
    logit = (traits[pairs[:, 0]] * traits[pairs[:, 1]]).sum(1) / 2
    labels = (random.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    batch = GenotypeBatch.complete(torch.from_numpy(chosen[pairs]))
    return batch, Targets("label", {"label": torch.from_numpy(labels)}, frozenset({"label"}))


def fitted(
    count: int, genes: int, num_genes: int = NUM_GENES, threads: int = 1
) -> tuple[PairwiseKernel, dict[str, Any]]:
    """Fit to the end; return the model and what that took."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    batch, targets = screen_of(count, genes, num_genes)
    edges = {name: number * num_genes // NUM_GENES for name, number in EDGES.items()}
    cell = reference_cell(num_genes, edges)
    wall, processor = time.perf_counter(), time.process_time()
    config = build(PairwiseKernelConfig, {"iterations": 1})
    model = config.build(cell, Target("label", "binary"))
    steps, before = 0, None
    while before is None or not torch.equal(before, model.state.dual):
        before = model.state.dual.clone()
        loss = model.fit_epoch(batch, targets)
        steps += 1
    return model.eval(), {
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "iterations": steps - 1,
        "loss": loss,
    }


def fit_case(count: int, genes: int, num_genes: int, threads: int) -> dict[str, Any]:
    """Measure a fit."""
    return fitted(count, genes, num_genes, threads)[1]


def screen_case(count: int, genes: int, num_genes: int) -> dict[str, Any]:
    """Measure the scoring of all pairs of the cell on one thread."""
    model, _ = fitted(count, genes, num_genes)
    candidates = Candidates(range(num_genes), 2)
    pairs = torch.from_numpy(candidates.block(0, candidates.total).genes)
    wall, processor = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        score = model.scorer().score
        ready = time.perf_counter() - wall
        for part in pairs.split(_AT_A_TIME):
            score(part)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "seconds": wall / len(pairs) * 1e6,
        "processor_seconds": processor / len(pairs) * 1e6,
        "table_seconds": ready,
        "pairs": len(pairs),
        "millions_per_minute": len(pairs) / wall * 60 / 1e6,
    }


def benchmark(options: Options, large: int = LARGE[0], num_genes: int = NUM_GENES) -> Report:
    """Measure all cases."""
    options.require_cpu("kernel")
    cases = {
        "small": partial(fit_case, *SMALL, num_genes, options.threads),
        "large": partial(fit_case, large, LARGE[1], num_genes, options.threads),
        "screen": partial(screen_case, *SMALL, num_genes),
    }
    sizes = {
        "genes": num_genes,
        "edges": sum(EDGES.values()),
        "small": list(SMALL),
        "large": [large, LARGE[1]],
    }
    return measure("kernel", cases, options, sizes=sizes)


def main() -> int:
    """Run the benchmark."""
    parser = parser_of("kernel", __doc__)
    parser.add_argument("--large", type=int, default=LARGE[0], help="pairs of the large case")
    arguments = parser.parse_args()
    return finish(lambda: benchmark(options_of(arguments), arguments.large), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
