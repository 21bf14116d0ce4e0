"""The benchmark of Dango's pretraining at a tiny size."""

from __future__ import annotations

import json

import pytest

from benchmarks import dango_pretraining
from benchmarks.report import show


@pytest.mark.slow
def test_both_forms_have_the_same_loss_at_a_tiny_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = dango_pretraining.run(
        num_genes=200,
        mean_degrees={"fusion": 2.0, "coexpression": 12.0},
        width=8,
        repeats=2,
        threads=1,
    )
    show(report, as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["benchmark", "machine", "rows"]
    assert report["benchmark"] == "dango_pretraining"
    dense, gram = report["rows"]
    assert (dense["case"], gram["case"]) == ("dense", "gram")
    assert dense["ratio"] == 1.0
    assert gram["seconds"] > 0
    assert dense["peak_mb"] > 0
    assert dense["edges"] == gram["edges"] == 200 * 14
    assert dense["relative_difference"] == 0.0
    assert gram["relative_difference"] < 1e-5
