"""Trials without training: synthetic curves on a simulated clock, told to the search as Tune tells it.

A configuration's curve approaches an asymptote exponentially; both, and an epoch's duration, are sums of
seeded effects of its parameters, so that a sampler has something to learn. Events lie in a heap and the clock
jumps from one to the next: what passes in real time is the search's own cost alone.
"""

from __future__ import annotations

import heapq
import json
import math
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import TrialScheduler

from gisearch.search.domains import Range
from gisearch.search.folders import TRIALS_FOLDER
from gisearch.search.keys import EPOCH, FAILURE, FINISHED, METRICS, OBJECTIVE, SUMMARY
from gisearch.search.ledger import Handout, Outcome
from gisearch.search.observer import Observer
from gisearch.search.searcher import LedgerSearcher
from gisearch.search.space import Assignment, SearchSpace
from gisearch.search.trial import trial_name
from gisearch.seeding import child_generator
from gisearch.training.checkpoint import BEST
from gisearch.training.config import ExperimentConfig

# Of a hundred trials one reports a failure, and one loses its worker once.
_FAILURE_RATE, _DEATH_RATE = 0.01, 0.01


class Landscape:
    """What a configuration would reach, how soon, and how long its epochs take.

    Args:
        space: the search space.
        seed: decides every effect.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._effects: dict[tuple[str, str, str], float] = {}

    def asymptote(self, assignment: Assignment) -> float:
        """Return the objective after infinitely many epochs, within [0, 1]."""
        return self._mean("asymptote", assignment)

    def pace(self, assignment: Assignment) -> float:
        """Return the epochs in which the distance to the asymptote shrinks by a factor of e, from 1 to 5."""
        return 1.0 + 4.0 * self._mean("pace", assignment)

    def epoch_seconds(self, assignment: Assignment) -> float:
        """Return the simulated seconds of one epoch, from 1 to 10."""
        return 1.0 + 9.0 * self._mean("seconds", assignment)

    def _mean(self, what: str, assignment: Assignment) -> float:
        effects = [self._effect(what, path, value) for path, value in assignment.items()]
        return sum(effects) / len(effects)

    def _effect(self, what: str, path: str, value: Any) -> float:
        domain = self._space[path].domain
        if isinstance(domain, Range):
            low, high, at = (
                math.log(x) if domain.log else float(x) for x in (domain.low, domain.high, value)
            )
            # The nearer to the parameter's own optimum the better.
            return 1.0 - abs((at - low) / (high - low) - self._drawn(what, path, "optimum"))
        return self._drawn(what, path, json.dumps(value))

    def _drawn(self, *names: str) -> float:
        key = (names[0], names[1], names[2])
        if key not in self._effects:
            self._effects[key] = float(child_generator(self._seed, *names).random())
        return self._effects[key]


@dataclass
class _Attempt:
    """What Tune's scheduler sees of a trial."""

    trial_id: str

    def get_pickled_error(self) -> None:
        """Return what Ray said of a lost process: nothing."""


@dataclass
class _Running:
    """A trial on the simulated machine.

    Attributes:
        attempt: what Tune knows it as; another one after its worker was lost.
        curve: the objective by epoch.
        epoch_seconds: simulated seconds per epoch.
        fails_at: the epoch at which it fails; None for never.
        dies: whether its worker is lost instead of reporting the failure.
        epoch: epochs done.
    """

    attempt: _Attempt
    curve: list[float]
    epoch_seconds: float
    fails_at: int | None
    dies: bool
    epoch: int = 0


class Simulation(Observer):
    """A simulated machine that runs what the searcher suggests; itself one of the searcher's observers.

    Args:
        space: the search space.
        max_epochs: epochs of a trial that is not stopped.
        concurrency: trials at a time.
        seed: decides curves, noise and failures.
    """

    def __init__(self, space: SearchSpace, *, max_epochs: int, concurrency: int, seed: int) -> None:
        self.now = 0.0
        self.ended = 0
        self._landscape = Landscape(space, seed)
        self._max_epochs, self._concurrency, self._seed = max_epochs, concurrency, seed
        self._attempts = 0
        self._assignments: dict[int, Assignment] = {}
        self._lost: dict[int, _Running] = {}
        self._events: list[tuple[float, int, int, _Running]] = []

    def on_start(self, handout: Handout, config: ExperimentConfig) -> None:
        """Remember what the trial's curve is a function of."""
        self._assignments[handout.number] = handout.assignment

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Count the trial."""
        self.ended += 1
        self._lost.pop(number, None)

    def step(self, searcher: LedgerSearcher, scheduler: TrialScheduler) -> bool:
        """Fill free places and let the next event happen; False once every trial has ended."""
        while len(self._events) < self._concurrency and self._start(searcher, scheduler):
            pass
        if not self._events:
            return False
        self.now, order, number, running = heapq.heappop(self._events)
        if self._advance(number, running, searcher, scheduler):
            heapq.heappush(self._events, (self.now + running.epoch_seconds, order, number, running))
        return True

    def _start(self, searcher: LedgerSearcher, scheduler: TrialScheduler) -> bool:
        attempt = _Attempt(f"{self._attempts:08x}")
        if not isinstance(searcher.suggest(attempt.trial_id), dict):
            return False
        number = searcher.numbers[attempt.trial_id]
        assignment = self._assignments.pop(number)
        running = self._lost.pop(number, None)
        if running is None:
            running = self._first_attempt(number, attempt, assignment)
            # A checkpoint to clean up, as a worker would leave one.
            folder = searcher.folder / TRIALS_FOLDER / trial_name(number)
            folder.mkdir(parents=True)
            (folder / BEST).touch()
        running.attempt = attempt
        heapq.heappush(self._events, (self.now + running.epoch_seconds, self._attempts, number, running))
        self._attempts += 1
        scheduler.on_trial_add(None, attempt)
        searcher.supervisor.started(number)
        return True

    def _first_attempt(self, number: int, attempt: _Attempt, assignment: Assignment) -> _Running:
        draw = child_generator(self._seed, "trial", number)
        asymptote, pace = self._landscape.asymptote(assignment), self._landscape.pace(assignment)
        epochs = range(1, self._max_epochs + 1)
        curve = [asymptote * (1.0 - math.exp(-epoch / pace)) + 0.01 * draw.normal() for epoch in epochs]
        fate = draw.random()
        fails_at = int(draw.integers(1, self._max_epochs + 1)) if fate < _FAILURE_RATE + _DEATH_RATE else None
        seconds = self._landscape.epoch_seconds(assignment)
        return _Running(attempt, curve, seconds, fails_at, fate < _DEATH_RATE)

    def _advance(
        self, number: int, running: _Running, searcher: LedgerSearcher, scheduler: TrialScheduler
    ) -> bool:
        """Let one epoch end; whether the trial goes on. The calls are those of Tune's controller."""
        attempt = running.attempt
        trial_id = attempt.trial_id
        if running.epoch + 1 == running.fails_at and running.dies:
            # The next attempt goes on from the last checkpoint.
            running.fails_at = None
            self._lost[number] = running
            scheduler.on_trial_error(None, attempt)
            searcher.on_trial_complete(trial_id, error=True)
            return False
        running.epoch += 1
        result = self._result(running)
        decision = scheduler.on_trial_result(None, attempt, result)
        if decision != TrialScheduler.STOP:
            searcher.on_trial_result(trial_id, result)
            if FAILURE not in result and running.epoch < self._max_epochs:
                return True
            if FAILURE not in result:
                summary = {"parameters": {"total": 1000.0, "encoder": 600.0}, "subgroups": {}}
                result = {**result, FINISHED: True, SUMMARY: json.dumps(summary)}
                searcher.on_trial_result(trial_id, result)
        scheduler.on_trial_complete(None, attempt, result)
        searcher.on_trial_complete(trial_id, result=result)
        return False

    def _result(self, running: _Running) -> dict[str, Any]:
        """Return what a worker reports after an epoch: the keys of ``gisearch.search.trial``."""
        if running.epoch == running.fails_at:
            return {FAILURE: "FloatingPointError: the loss is not finite", FINISHED: True}
        reached = running.curve[: running.epoch]
        value = reached[-1]
        metrics = {
            "train/loss": 1.0 - value,
            "val/pearson": value,
            "val/spearman": 0.95 * value,
            "val/rmse": math.sqrt(abs(1.0 - value)),
            "val/r2": value * value,
            "val/loss": abs(1.0 - value),
            "lr": 1.0e-3,
            "epoch_seconds": running.epoch_seconds,
        }
        return {
            EPOCH: running.epoch,
            OBJECTIVE: max(reached),
            "best_epoch": reached.index(max(reached)) + 1,
            "train_seconds": running.epoch * running.epoch_seconds,
            "peak_memory_mb": 500.0,
            METRICS: json.dumps(metrics),
            FINISHED: False,
        }
