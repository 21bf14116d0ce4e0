from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gisearch.search.budget import Budget
from gisearch.search.config import SearchConfig
from gisearch.search.ledger import Handout, Outcome
from gisearch.search.study import open_study
from gisearch.training.objective import Objective

CONFIG: Any = None  # observers are told the experiment, which a budget does not look at


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def open_budget(folder: Path, clock: Clock, gpus: float = 0.0, **limits: Any) -> Budget:
    study = open_study(folder, "s", Objective("val/pearson", "max"))
    return Budget(study, SearchConfig(**limits), gpus, clock)


def start(budget: Budget, number: int) -> None:
    budget.on_start(Handout(number, {}, 0), CONFIG)


def test_no_limit(tmp_path: Path) -> None:
    clock = Clock()
    budget = open_budget(tmp_path, clock, gpus=8.0)
    start(budget, 0)
    clock.now = 1e9
    assert budget.used_up() is None


def test_hours(tmp_path: Path) -> None:
    clock = Clock(5000.0)
    budget = open_budget(tmp_path, clock, hours=1.5)
    clock.now += 1.5 * 3600 - 1
    assert budget.used_up() is None
    clock.now += 1
    assert budget.seconds == 1.5 * 3600
    assert budget.used_up() == "the sweep's 1.5 hours are over"


def test_gpu_hours_are_those_that_trials_held(tmp_path: Path) -> None:
    clock = Clock()
    budget = open_budget(tmp_path, clock, gpus=2.0, gpu_hours=4.0)
    clock.now = 3600.0
    assert budget.gpu_seconds == 0.0, "nothing runs"
    start(budget, 0)
    clock.now += 3600.0
    start(budget, 1)
    clock.now += 1800.0
    assert budget.gpu_seconds == 2.0 * (5400 + 1800)
    budget.on_pause(0, "lost")
    budget.on_pause(0, "told again")
    budget.on_end(1, Outcome("finished", 0.5))
    clock.now += 3600.0
    assert budget.gpu_seconds == 4 * 3600
    assert budget.used_up() == "the sweep's 4 GPU-hours are used up"


def test_time_of_one_trial(tmp_path: Path) -> None:
    clock = Clock()
    budget = open_budget(tmp_path, clock)
    start(budget, 3)
    clock.now = 60.0
    assert budget.seconds_of(3) == 60.0
    assert budget.seconds_of(4) == 0.0
    budget.on_end(3, Outcome("finished", 0.5))
    assert budget.seconds_of(3) == 0.0


def test_a_resumed_sweep_goes_on_counting(tmp_path: Path) -> None:
    clock = Clock()
    budget = open_budget(tmp_path, clock, gpus=1.0)
    start(budget, 0)
    clock.now = 1000.0
    budget.keep()
    resumed = open_budget(tmp_path, Clock(77.0), gpus=1.0)
    assert (resumed.seconds, resumed.gpu_seconds) == (1000.0, 1000.0)
    assert resumed.seconds_of(0) == 0.0
    again = Clock(5.0)
    third = open_budget(tmp_path, again, gpus=1.0, hours=0.5)
    again.now += 800.0
    assert third.used_up() == "the sweep's 0.5 hours are over"


@pytest.mark.parametrize(("passed", "kept"), [(9.0, 0.0), (11.0, 11.0)])
def test_it_is_written_down_now_and_then(tmp_path: Path, passed: float, kept: float) -> None:
    clock = Clock()
    budget = open_budget(tmp_path, clock, gpus=0.5)
    start(budget, 0)
    clock.now = passed
    budget.on_epoch(0, 1, 0.5, {})
    # The process is killed here.
    killed = open_budget(tmp_path, Clock(), gpus=0.5)
    assert (killed.seconds, killed.gpu_seconds) == (kept, kept / 2)
