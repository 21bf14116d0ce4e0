"""The benchmark of data at a tiny size, and its generated tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.data import benchmark
from benchmarks.generated_tables import write_tables
from benchmarks.report import Options, SkippedError
from gisearch.data.config import YeastData
from gisearch.data.load import load_tables


def test_generated_tables_are_read_as_yeast(tmp_path: Path) -> None:
    write_tables(tmp_path, share=0.01)
    cell, genotypes, report = load_tables(YeastData(root=str(tmp_path), metabolism=True), use_cache=False)
    assert cell.num_genes == 66
    assert list(cell.networks)[:2] == ["regulatory", "physical"]
    assert len(cell.networks) == 6
    assert cell.metabolism is not None
    assert len(cell.metabolism.reactions) == 41
    assert set(genotypes.labels) == {"strong_negative", "fitness"}
    assert (genotypes.order == 2).sum() == 145
    assert not report.unresolved


@pytest.mark.slow
def test_every_case_at_a_tiny_size() -> None:
    options = Options(repeats=3, threads=1)
    report = benchmark(
        options, share=0.01, genotypes=500, num_genes=60, edges={"physical": 200, "regulatory": 50}
    )
    rows = {row.case: row for row in report.rows}
    assert {name: row.reference for name, row in rows.items()} == {
        "build": "build",
        "cached": "build",
        "step": "step",
        "loader": "step",
        "hold": "hold",
    }
    assert rows["loader"].facts["percent_of_step"] > 0
    assert rows["hold"].facts["held_mb"] > 0
    assert rows["build"].facts["genotypes"] > 100
    assert report.sizes["tables"] == "generated"


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(SkippedError, match="there is no folder"):
        benchmark(Options(yeast=tmp_path / "none"))
