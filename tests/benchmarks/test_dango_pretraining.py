"""The benchmark of Dango's pretraining at a tiny size."""

from __future__ import annotations

import pytest

from benchmarks.dango_pretraining import run
from benchmarks.report import Options


@pytest.mark.slow
def test_both_forms_have_the_same_loss_at_a_tiny_size() -> None:
    degrees = {"fusion": 2.0, "coexpression": 12.0}
    report = run(Options(repeats=3, threads=1), num_genes=200, mean_degrees=degrees, width=8)
    dense, gram = report.rows
    assert (dense.case, gram.case) == ("dense", "gram")
    assert (dense.ratio, gram.reference) == (1.0, "dense")
    assert gram.seconds > 0
    assert gram.spread is not None
    assert dense.facts["edges"] == gram.facts["edges"] == 200 * 14
    assert dense.facts["relative_difference"] == 0.0
    assert gram.facts["relative_difference"] < 1e-5
