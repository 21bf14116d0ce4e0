"""Searches on a simulated clock: the same figures in every run, and clocks that agree with the trials."""

from __future__ import annotations

import pytest

from benchmarks import simulated_quality
from benchmarks.report import Options
from benchmarks.search_quality import CONTENDERS, SPACE
from benchmarks.simulated_quality import EPOCHS, TASK, benchmark, simulate
from gisearch.search.plan import SweepPlan, plan_sweep


@pytest.fixture(scope="module")
def plan() -> SweepPlan:
    return plan_sweep(SPACE, ["data=demo"])


@pytest.fixture(autouse=True)
def few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_quality, "TRIALS", 12)
    monkeypatch.setattr(simulated_quality, "DRAWN", 60)


@pytest.mark.parametrize("contender", CONTENDERS)
def test_a_seed_gives_the_same_curve_again(plan: SweepPlan, contender: str) -> None:
    curve = simulate(plan, contender, 3)
    again = simulate(plan, contender, 3)
    assert (curve.points, curve.seconds) == (again.points, again.seconds)
    assert curve.points != simulate(plan, contender, 4).points
    assert [point.epochs for point in curve.points] == list(range(1, len(curve.points) + 1))
    assert [point.best for point in curve.points] == sorted(point.best for point in curve.points)
    # Two threads or two trials: never more than two processors.
    assert curve.processor_seconds <= 2 * curve.seconds + 1e-9


def test_one_trial_after_another_uses_both_processors_all_the_time(plan: SweepPlan) -> None:
    curve = simulate(plan, "sequential_optuna", 0)
    assert curve.processor_seconds == pytest.approx(2 * curve.seconds)


def test_only_a_sweep_ends_trials_early(plan: SweepPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    # A score that nothing reaches: every trial is run.
    unreachable = {"1 in 10": 2.0}
    monkeypatch.setattr(simulated_quality, "TASK", simulated_quality.Task("none", (), unreachable, 1.0))
    assert len(simulate(plan, "random_tune", 0).points) == 12 * EPOCHS
    assert len(simulate(plan, "sequential_optuna", 0).points) == 12 * EPOCHS
    assert 12 * 4 <= len(simulate(plan, "gisearch", 0).points) < 12 * EPOCHS


def test_rows_hold_every_contender_and_score() -> None:
    report = benchmark(Options(), landscapes=2)
    assert [row.case for row in report.rows] == [f"simulated {name}" for name in CONTENDERS]
    for row in report.rows:
        assert all(any(fact.startswith(score) for fact in row.facts) for score in TASK.thresholds)
