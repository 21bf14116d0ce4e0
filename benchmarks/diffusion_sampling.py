"""How fast samples are drawn: ``python -m benchmarks diffusion_sampling [--json] [--device cuda]``.

100 samples each for 1,000 genotypes in 50 DDIM steps, width 64. ``one_by_one`` is the loop as diffusion is
usually written down: a genotype at a time, whose context the denoiser reads again in every step; it is timed
on fewer genotypes. ``sample`` is the model's own. ``seconds`` are those per 1,000 genotypes, without the
encoder; ``relative_difference`` is between the means of samples of the genotypes that both have.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.perturbation import EDGES, NUM_GENES, reference_cell, triple_deletions
from benchmarks.report import Options, Report, Row, measure, run_alone
from benchmarks.timing import timing
from gisearch.config import build
from gisearch.data.dataset import Target
from gisearch.models.config.gene_interaction_diff import GeneInteractionDiffConfig
from gisearch.models.gene_interaction_diff import GeneInteractionDiff
from gisearch.training.allocator import freed_memory_kept

SAMPLES, STEPS, WIDTH, GENOTYPES, FEW = 100, 50, 64, 1000, 10


def one_by_one(model: GeneInteractionDiff, tokens: Tensor, present: Tensor) -> Tensor:
    """Draw the samples of one genotype after another; the context is read in every step."""
    rows = []
    for some, exist in zip(tokens.split(1), present.split(1), strict=True):

        def denoise(x: Tensor, step: int, some: Tensor = some, exist: Tensor = exist) -> Tensor:
            steps = torch.full(x.shape, step, device=x.device)
            return model.denoise(x, steps, model.denoiser.read(some, exist))

        rows.append(model.sampler(denoise, 1))
    return torch.cat(rows)


def run_case(
    name: str, options: Options, genotypes: int, few: int, num_genes: int, edges: dict[str, int]
) -> dict[str, Any]:
    """Measure one way of sampling."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sampler = {"method": "ddim", "steps": STEPS, "samples": SAMPLES}
    config = build(GeneInteractionDiffConfig, {"hidden_dim": WIDTH, "sampler": sampler})
    model = config.build(reference_cell(num_genes, edges), Target("gene_interaction", "regression"))
    model = model.eval().to(options.device)
    batch = triple_deletions(num_genes, genotypes).to(options.device)
    count = few if name == "one_by_one" else genotypes
    with torch.inference_mode():
        tokens, present = model.context_tokens(batch)
        tokens, present = tokens[:count], present[:count]
        draw = partial(one_by_one, model) if name == "one_by_one" else model.sample
        drawn: list[Tensor] = []

        def step() -> None:
            drawn[:] = [draw(tokens, present)]

        # One genotype warms up as well as a thousand do, which take seconds.
        draw(tokens[:1], present[:1])
        # As gisearch predicts.
        with nullcontext() if name == "one_by_one" else freed_memory_kept():
            measured = timing(step, repeats=options.repeats, warmup=0, device=options.device)
    model.monitor.check()
    for clock in ("seconds", "processor_seconds"):
        measured[clock] *= 1000 / count
    values = count * SAMPLES * STEPS / 1e6
    return {
        **measured,
        "genotypes": count,
        "million_values_per_second": values / (measured["seconds"] * count / 1000),
        "means": drawn[0][:few].mean(1).tolist(),
    }


def benchmark(
    options: Options,
    *,
    genotypes: int = GENOTYPES,
    few: int = FEW,
    num_genes: int = NUM_GENES,
    edges: dict[str, int] = EDGES,
) -> Report:
    """Measure both ways."""
    cases = {
        name: partial(run_case, name, options, genotypes, few, num_genes, dict(edges))
        for name in ("one_by_one", "sample")
    }
    sizes = {"genotypes": genotypes, "samples": SAMPLES, "steps": STEPS, "width": WIDTH}
    report = measure("diffusion_sampling", cases, options, sizes=sizes)
    expected = torch.tensor(report.rows[0].facts["means"])

    def difference(row: Row) -> dict[str, float]:
        distance = (torch.tensor(row.facts["means"]) - expected).abs().max()
        return {"relative_difference": float(distance / expected.abs().max())}

    return report.with_facts(difference, without=["means"])


if __name__ == "__main__":
    sys.exit(run_alone("diffusion_sampling", __doc__, benchmark))
