"""The benchmark of sampling at a tiny size."""

from __future__ import annotations

import pytest

from benchmarks.diffusion_sampling import benchmark
from benchmarks.report import Options


@pytest.mark.slow
def test_both_ways_draw_the_same_samples() -> None:
    options = Options(repeats=1, threads=1)
    report = benchmark(options, genotypes=4, few=2, num_genes=60, edges={"physical": 200})
    loop, ours = report.rows
    assert (loop.case, ours.case, ours.reference) == ("one_by_one", "sample", "one_by_one")
    assert (loop.facts["genotypes"], ours.facts["genotypes"]) == (2, 4)
    assert loop.facts["relative_difference"] == 0.0
    assert ours.facts["relative_difference"] < 1e-4
    assert "means" not in ours.facts
