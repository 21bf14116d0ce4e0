from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import optuna
import pytest
from optuna.trial import FrozenTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from gisearch.search.config import SearchConfig
from gisearch.search.scheduler import EPOCH, OBJECTIVE, build_scheduler

CONFIG = SearchConfig(grace_epochs=2, reduction_factor=2)


def decide(scheduler: TrialScheduler, name: str, values: dict[int, float]) -> int | None:
    """Feed a trial's curve; returns the epoch at which it was stopped."""
    trial: Any = SimpleNamespace(trial_id=name)
    scheduler.on_trial_add(None, trial)
    for epoch, value in values.items():
        if scheduler.on_trial_result(None, trial, {EPOCH: epoch, OBJECTIVE: value}) == TrialScheduler.STOP:
            return epoch
    return None


def curve(value: float, epochs: int = 9) -> dict[int, float]:
    return dict.fromkeys(range(1, epochs + 1), value)


def frozen(curves: list[dict[int, float]]) -> list[FrozenTrial]:
    study = optuna.create_study()
    for values in curves:
        study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.PRUNED, intermediate_values=values))
    return study.trials


@pytest.mark.parametrize(("mode", "good", "bad"), [("max", 0.9, 0.1), ("min", 0.1, 0.9)])
def test_a_bad_trial_is_stopped_at_its_first_rung(
    mode: Literal["max", "min"], good: float, bad: float
) -> None:
    scheduler = build_scheduler(CONFIG, mode=mode, max_epochs=10)
    assert decide(scheduler, "one", curve(good)) is None
    assert decide(scheduler, "two", curve(bad)) == 2
    assert decide(scheduler, "three", curve(good)) is None


def test_a_trial_that_falls_behind_later_is_stopped_at_a_later_rung() -> None:
    scheduler = build_scheduler(CONFIG, mode="max", max_epochs=10)
    decide(scheduler, "one", {epoch: 0.1 * epoch for epoch in range(1, 10)})
    assert decide(scheduler, "two", curve(0.25)) == 4


def test_earlier_trials_count_as_if_the_sweep_had_gone_on() -> None:
    curves = [curve(0.3 + 0.02 * i, 9 if i > 4 else 2) for i in range(8)]
    whole = build_scheduler(CONFIG, mode="max", max_epochs=10)
    for i, values in enumerate(curves):
        decide(whole, str(i), values)
    resumed = build_scheduler(CONFIG, mode="max", max_epochs=10, earlier=frozen(curves))
    fresh = build_scheduler(CONFIG, mode="max", max_epochs=10)
    stops = []
    for i, value in enumerate([0.0, 0.35, 0.5, 0.39, 0.41]):
        stops.append(decide(whole, f"new{i}", curve(value)))
        assert decide(resumed, f"new{i}", curve(value)) == stops[-1]
    assert stops[0] == 2
    assert None in stops
    assert decide(fresh, "new", curve(0.0)) is None


def test_no_early_stopping() -> None:
    none = build_scheduler(SearchConfig(scheduler="none"), mode="max", max_epochs=10)
    assert type(none) is FIFOScheduler
    assert type(build_scheduler(CONFIG, mode="max", max_epochs=2)) is FIFOScheduler


def test_a_result_without_an_objective_is_let_through() -> None:
    scheduler = build_scheduler(CONFIG, mode="max", max_epochs=10)
    trial: Any = SimpleNamespace(trial_id="x")
    scheduler.on_trial_add(None, trial)
    assert scheduler.on_trial_result(None, trial, {"failure": "x"}) == TrialScheduler.CONTINUE
