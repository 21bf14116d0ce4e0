"""What data costs: ``python -m benchmarks data [--json] [--yeast FOLDER]``.

- ``build``: the cell graph with metabolism and the genotypes from the folder of plain yeast tables (or from
  generated tables of the same sizes), imports of the readers included.
- ``cached``: the same from the cache.
- ``step``: a training step of GeneInteractionDango in index encoding, batch 28, on the published two-network
  size.
- ``loader``: one batch of 28 out of 500,000 genotypes, against that step; ``percent_of_step`` is its share.
- ``hold``: making a table of 500,000 genotypes with three labels; ``held_mb`` is what they and the training
  loop's tensors take, ``while_made_mb`` the most that making them took on top.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generated_tables import write_tables
from benchmarks.perturbation import BATCH, EDGES, NUM_GENES
from benchmarks.perturbation import run_case as step_case
from benchmarks.report import Options, Report, SkippedError, measure, run_alone
from benchmarks.timing import peak_memory_mb, timing
from gisearch.data.config import YeastData
from gisearch.data.genotypes import Genotypes

GENOTYPES = 500_000


def build_case(folder: str) -> dict[str, Any]:
    """Measure reading all tables, once: imports are part of it."""
    from gisearch.data.load import load_tables

    wall, processor = time.perf_counter(), time.process_time()
    cell, genotypes, _ = load_tables(YeastData(root=folder, metabolism=True), use_cache=False)
    return {
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "edges": sum(network.num_edges for network in cell.networks.values()),
        "genotypes": len(genotypes),
    }


def cached_case(folder: str, repeats: int) -> dict[str, Any]:
    """Measure reading from the cache."""
    from gisearch.data.load import load_tables

    with tempfile.TemporaryDirectory() as cache:
        os.environ["GISEARCH_CACHE"] = cache
        return timing(lambda: load_tables(YeastData(root=folder, metabolism=True)), repeats=repeats)


def many_genotypes(count: int, num_genes: int) -> Genotypes:
    """Return triple deletions with an interaction, its standard deviation and its p-value."""
    random = np.random.default_rng(0)
    first = random.integers(num_genes, size=count)
    steps = random.integers(1, num_genes // 2 - 1, size=(2, count))
    table = np.stack([first, first + steps[0], first + steps[0] + steps[1]], axis=1) % num_genes
    labels = {name: random.normal(size=count) for name in ("interaction", "interaction_std", "interaction_p")}
    keep = np.unique(np.sort(table, axis=1), axis=0, return_index=True)[1]
    return Genotypes.build(
        table[keep], {name: values[keep] for name, values in labels.items()}, num_genes=num_genes
    )


def hold_case(count: int, num_genes: int) -> dict[str, Any]:
    """Measure making genotypes, and what they take."""
    from gisearch.models.batch import GenotypeBatch

    many_genotypes(10, num_genes)
    before, wall, processor = peak_memory_mb(), time.perf_counter(), time.process_time()
    genotypes = many_genotypes(count, num_genes)
    seconds, processor = time.perf_counter() - wall, time.process_time() - processor
    batch = GenotypeBatch.from_genotypes(genotypes)
    held = genotypes.genes.nbytes + genotypes.offsets.nbytes
    held += sum(values.nbytes for values in genotypes.labels.values())
    # The target shares the memory of its label.
    held += batch.deleted.nbytes + batch.present.nbytes
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "genotypes": len(genotypes),
        "held_mb": round(held / 1e6, 3),
        "while_made_mb": round(peak_memory_mb() - before),
    }


def loader_case(options: Options, count: int, num_genes: int) -> dict[str, Any]:
    """Measure taking a batch, as the training loop takes one."""
    import torch

    from gisearch.models.batch import GenotypeBatch
    from gisearch.models.targets import Targets

    torch.set_num_threads(options.threads)
    genotypes = many_genotypes(count, num_genes)
    batch = GenotypeBatch.from_genotypes(genotypes)
    targets = Targets("interaction", {"interaction": torch.from_numpy(genotypes.labels["interaction"])})
    order, place = torch.randperm(len(batch)), 0

    def step() -> None:
        nonlocal place
        rows = order[place : place + BATCH]
        place = (place + BATCH) % (len(batch) - BATCH)
        batch[rows], targets[rows]

    return timing(step, repeats=200 * options.repeats, warmup=50)


def benchmark(
    options: Options,
    *,
    share: float = 1.0,
    genotypes: int = GENOTYPES,
    num_genes: int = NUM_GENES,
    edges: Mapping[str, int] = EDGES,
) -> Report:
    """Measure every case; ``share`` scales the generated tables."""
    options.require_cpu("data")
    if options.yeast is not None and not options.yeast.is_dir():
        raise SkippedError(f"data: there is no folder {str(options.yeast)!r}; expected one of yeast tables.")
    with tempfile.TemporaryDirectory() as temporary:
        if options.yeast is None:
            write_tables(Path(temporary), share)
        folder = str(options.yeast or temporary)
        cases = {
            "build": partial(build_case, folder),
            "cached": partial(cached_case, folder, options.repeats),
            "step": partial(step_case, "index", options, num_genes, dict(edges)),
            "loader": partial(loader_case, options, genotypes, num_genes),
            "hold": partial(hold_case, genotypes, num_genes),
        }
        tables = "given" if options.yeast else "generated"
        sizes = {"tables": tables, "share": share, "genotypes": genotypes, "batch": BATCH, "genes": num_genes}
        references = {"step": "step", "loader": "step", "hold": "hold"}
        report = measure("data", cases, options, sizes=sizes, references=references)
    return report.with_facts(lambda row: {"percent_of_step": 100 / row.ratio} if row.case == "loader" else {})


if __name__ == "__main__":
    sys.exit(run_alone("data", __doc__, benchmark))
