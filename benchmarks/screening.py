"""How many candidates does a trained model score in a second?

    python -m benchmarks screening [--json]
    python -m benchmarks.screening [--json] [--order 2|3] [--candidates 200000]

GeneInteractionDango of width 64 in index encoding on a cell of the published large size: 6,607 genes and nine
networks with 2.4 million edges. ``predict`` is what scoring a table does, in the default batches of an
evaluation, which hold all intermediate values of 65,536 genotypes; ``predict_256`` in batches of 256;
``screening`` makes the candidates as well, and keeps the 1,000 highest and lowest; ``screening_more`` does so
with 10 times as many. Threads of PyTorch in the first two are workers of the others. ``seconds`` are those
per million candidates.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.perturbation import NUM_GENES, reference_cell
from benchmarks.report import Options, Report, finish, measure, options_of, parser_of
from gisearch.config import build
from gisearch.data.candidates import Candidates
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.batch import GenotypeBatch
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import TrainedModel
from gisearch.training.screening import Screen, decide, screen_here
from gisearch.training.target import TargetScale

# Nine networks whose edges add up to the published number.
EDGES = {f"network_{i}": 266_000 for i in range(9)}
TOP, MORE = 1000, 10


def trained_on(cell: CellGraph, batch_size: int) -> TrainedModel:
    """Return the model with first weights; what it learnt does not change how fast it is."""
    torch.manual_seed(0)
    values = {
        "data": {"source": "demo"},
        "model": {"name": "dango_gi", "hidden_dim": 64},
        "trainer": {"device": "cpu", "eval_batch_size": batch_size},
    }
    config = build(ExperimentConfig, values)
    model = config.model.build(cell, Target("gene_interaction", "regression"))
    return TrainedModel(config, model.eval(), TargetScale("regression"))


def candidates_of(order: int, count: int) -> Candidates:
    """Return all pairs or triples of as many genes, spread over the cell, as give about ``count``."""
    number = next(n for n in range(order, NUM_GENES + 1) if Candidates(range(n), order).total >= count)
    return Candidates(np.linspace(0, NUM_GENES - 1, number).astype(np.int64), order)


def predict_case(
    order: int, count: int, batch_size: int, threads: int, edges: Mapping[str, int]
) -> dict[str, Any]:
    """Measure the scoring of a table."""
    torch.set_num_threads(threads)
    trained = trained_on(reference_cell(NUM_GENES, edges), batch_size)
    genes = candidates_of(order, count).block(0, count).genes
    batch = GenotypeBatch.complete(torch.from_numpy(genes))
    trained.predict(batch[:1])
    return _timed(len(batch), lambda: trained.predict(batch))


def screen_case(order: int, count: int, threads: int, edges: Mapping[str, int]) -> dict[str, Any]:
    """Measure the screening of all candidates."""
    trained = trained_on(reference_cell(NUM_GENES, edges), 2**12)
    candidates = candidates_of(order, count)
    screen = Screen(trained, candidates, TOP)
    screen.score(range(1))
    return _timed(candidates.total, lambda: decide(screen, screen_here(screen, threads)))


def _timed(count: int, run: Any) -> dict[str, Any]:
    wall, processor = time.perf_counter(), time.process_time()
    run()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "seconds": wall / count * 1e6,
        "processor_seconds": processor / count * 1e6,
        "candidates": count,
        "millions_per_minute": count / wall * 60 / 1e6,
        "millions_per_processor_minute": count / processor * 60 / 1e6,
    }


def benchmark(options: Options, order: int = 3, count: int = 200_000) -> Report:
    """Measure all cases."""
    options.require_cpu("screening")
    threads, few = options.threads, min(count, 20_000)
    cases = {
        "predict": partial(predict_case, order, count, 2**16, threads, EDGES),
        "predict_256": partial(predict_case, order, few // 10, 256, threads, EDGES),
        "screening": partial(screen_case, order, count, threads, EDGES),
        "screening_more": partial(screen_case, order, count * MORE, threads, EDGES),
    }
    sizes = {"genes": NUM_GENES, "edges": sum(EDGES.values()), "order": order, "candidates": count}
    return measure("screening", cases, options, sizes=sizes)


def main() -> int:
    """Run the benchmark."""
    parser = parser_of("screening", __doc__)
    parser.add_argument("--order", type=int, choices=(2, 3), default=3, help="deletions of a candidate")
    parser.add_argument("--candidates", type=int, default=200_000, help="of the cases but the last")
    arguments = parser.parse_args()
    return finish(
        lambda: benchmark(options_of(arguments), arguments.order, arguments.candidates),
        as_json=arguments.json,
    )


if __name__ == "__main__":
    sys.exit(main())
