"""The benchmark of the search itself at a tiny size, and the parts that its figures rest on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.meter import Meter
from benchmarks.search_scale import PARTS, SPACE, run, show
from benchmarks.simulated_trials import Landscape
from gisearch.search.plan import plan_sweep


@pytest.mark.slow
def test_a_tiny_run_reports_every_part_and_everything_arrives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(60, "tpe", tmp_path, block=20, concurrency=4)
    show(result)
    assert "mlflow" not in capsys.readouterr().err.lower()
    result = json.loads(json.dumps(result))
    assert (result["benchmark"], result["trials"], result["sampler"]) == ("search_scale", 60, "tpe")
    assert [row["trials"] for row in result["rows"]] == [20, 40, 60]
    for row in result["rows"]:
        assert all(row[f"{part}_ms"] > 0 for part in PARTS)
        assert row["cpu_ms"] <= sum(row[f"{part}_ms"] for part in PARTS) + 1.0
        assert row["resident_mb"] > 10
    journals = [row["journal_mb"] for row in result["rows"]]
    assert journals == sorted(journals)
    assert result["writes"]["spooled"] == 0
    assert result["writes"]["message"] == ""
    assert (result["ui"]["status"], result["ui"]["sorted"]) == (200, True)
    assert result["ui"]["runs"] == 60
    # Only the best trials' checkpoints are left: the housekeeper saw every trial.
    assert len(list((tmp_path / "trials").glob("*/best.pt"))) == 5


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
