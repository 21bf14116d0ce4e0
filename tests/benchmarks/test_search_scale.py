"""The benchmark of the search itself at a tiny size, and the parts that its figures rest on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.meter import Meter
from benchmarks.report import show
from benchmarks.search_scale import PARTS, SPACE, run
from benchmarks.simulated_trials import Landscape
from gisearch.search.plan import plan_sweep


@pytest.mark.slow
def test_a_tiny_run_reports_every_part_and_everything_arrives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run(60, "tpe", tmp_path, block=20, concurrency=4)
    show(report, as_json=True)
    captured = capsys.readouterr()
    assert "mlflow" not in captured.err.lower()
    assert json.loads(captured.out)["benchmark"] == "search_scale"
    assert (report.facts["trials"], report.sizes["sampler"]) == (60, "tpe")
    assert [row.case for row in report.rows] == ["20 trials", "40 trials", "60 trials"]
    assert {row.reference for row in report.rows} == {"20 trials"}
    for row in report.rows:
        assert all(row.facts[f"{part}_ms"] > 0 for part in PARTS)
        assert row.seconds == pytest.approx(sum(row.facts[f"{part}_ms"] for part in PARTS) / 1e3)
        assert row.processor_seconds is not None
        assert row.processor_seconds <= row.seconds + 1e-3
        assert row.peak_mb > 10
    journals = [row.facts["journal_mb"] for row in report.rows]
    assert journals == sorted(journals)
    assert report.facts["writes"]["spooled"] == 0
    assert report.facts["writes"]["message"] == ""
    ui = report.facts["ui"]
    assert (ui["status"], ui["sorted"]) == (200, True)
    assert ui["runs"] == 60
    # Only the best trials' checkpoints are left: the housekeeper saw every trial.
    assert len(list((tmp_path / "trials").glob("*/best.pt"))) == 10


def test_a_part_does_not_count_what_it_calls() -> None:
    class Inner:
        def work(self) -> None:
            time.sleep(0.05)

    class Outer:
        def __init__(self, inner: Inner) -> None:
            self.inner = inner

        def work(self) -> None:
            time.sleep(0.02)
            self.inner.work()

    meter, inner = Meter(), Inner()
    outer = Outer(inner)
    with meter.watching(Inner, "inner", "work"), meter.watching(outer, "outer", "work"):
        outer.work()
        inner.work()
    assert meter.seconds["inner"] == pytest.approx(0.1, abs=0.04)
    assert meter.seconds["outer"] == pytest.approx(0.02, abs=0.015)
    assert meter.cpu < 0.05
    assert "work" not in vars(outer)
    before = meter.seconds.copy()
    outer.work()
    assert meter.seconds == before


def test_a_configuration_has_the_same_curve_in_any_process() -> None:
    space = plan_sweep(SPACE, ["data=demo_tiny"]).space
    landscape = Landscape(space, seed=0)
    values = list(plan_sweep(SPACE, ["data=demo_tiny"]).covering())
    reached = [landscape.asymptote(assignment) for assignment in values]
    assert reached == [Landscape(space, seed=0).asymptote(assignment) for assignment in values]
    assert reached != [Landscape(space, seed=1).asymptote(assignment) for assignment in values]
    assert all(0.0 <= value <= 1.0 for value in reached)
    assert max(reached) - min(reached) > 0.1
    assert all(1.0 <= landscape.pace(assignment) <= 5.0 for assignment in values)
    assert all(1.0 <= landscape.epoch_seconds(assignment) <= 10.0 for assignment in values)
