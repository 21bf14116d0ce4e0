"""Checkpoints of losing trials are removed as the sweep runs; the best, and a Pareto front, are kept."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from gisearch.search.folders import trial_folder
from gisearch.search.ledger import Outcome
from gisearch.search.lineage import donor_of
from gisearch.search.observer import Observer
from gisearch.search.pareto import mode_of, objective_values, pareto_front
from gisearch.search.plan import SweepPlan
from gisearch.training.checkpoint import CheckpointStore


class Housekeeper(Observer):
    """Keeps the checkpoints of the ``search.keep_top`` best trials that have ended.

    In a sweep with a cost, those of every trial on the Pareto front so far are kept as well.
    """

    def __init__(self, folder: Path, plan: SweepPlan, study: optuna.Study) -> None:
        self.folder, self.study, self.keep = folder, study, plan.config.search.num_kept
        self.mode = mode_of(study)
        self.is_population = plan.config.search.scheduler == "pbt"
        # The score, and the cost where there is one, of the trials whose checkpoints are there.
        self.kept: dict[int, list[float]] = {}
        for trial in study.get_trials(deepcopy=False):
            if trial.state.is_finished() and "duplicate_of" not in trial.user_attrs:
                self._consider(trial.number, _reached(trial))

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Keep the trial's checkpoints, or remove them and those of trials that it beats."""
        values = objective_values(self.study, outcome.status, outcome.value, outcome.summary)
        self._consider(number, values)

    def _consider(self, number: int, values: list[float] | None) -> None:
        if values is None:
            self._remove(number)
            return
        self.kept[number] = values
        # What is not kept now can never be again: something that beats it stays, or what beats that. What a
        # member of a population has yet to take over goes later.
        for loser in self.kept.keys() - self._best() - self._front() - self._donors():
            del self.kept[loser]
            self._remove(loser)

    def _best(self) -> set[int]:
        sign = -1 if self.mode == "max" else 1
        # Of equals the later one goes.
        return set(sorted(self.kept, key=lambda n: (sign * self.kept[n][0], n))[: self.keep])

    def _front(self) -> set[int]:
        numbers = [number for number, values in self.kept.items() if len(values) > 1]
        points = [(self.kept[number][0], self.kept[number][1]) for number in numbers]
        return {numbers[i] for i in pareto_front(points, self.mode)}

    def _donors(self) -> set[int]:
        if not self.is_population:
            return set()
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return {donor for trial in running if (donor := donor_of(trial.user_attrs)) is not None}

    def _remove(self, number: int) -> None:
        CheckpointStore(trial_folder(self.folder, number)).remove()


def _reached(trial: FrozenTrial) -> list[float] | None:
    """Return the values that a trial was told with; None for one that failed or reached none."""
    values: list[float] | None = None if trial.state == TrialState.FAIL else trial.values
    return values
