"""Checkpoints of losing trials are removed as the sweep runs; the best are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.trial import TrialState

from gisearch.search.ledger import Handout, Outcome
from gisearch.search.plan import SweepPlan
from gisearch.search.trial import trial_name
from gisearch.training.checkpoint import CheckpointStore
from gisearch.training.experiment import ExperimentConfig


class Housekeeper:
    """Keeps the checkpoints of the ``search.keep_checkpoints`` best trials that have ended."""

    def __init__(self, folder: Path, plan: SweepPlan, study: optuna.Study) -> None:
        self.folder, self.keep = folder, plan.config.search.keep_checkpoints
        self.sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
        self.kept: dict[int, float] = {}
        for trial in study.get_trials(deepcopy=False):
            if trial.state.is_finished() and "duplicate_of" not in trial.user_attrs:
                reached = trial.state != TrialState.FAIL and trial.last_step is not None
                value = trial.intermediate_values[trial.last_step or 0] if reached else None
                self._consider(trial.number, value)

    def on_start(self, handout: Handout, config: ExperimentConfig) -> None:
        """Nothing to clean yet."""

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        """Nothing to clean yet."""

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Keep the trial's checkpoints, or remove them or those of a trial that it beats."""
        self._consider(number, None if outcome.status == "failed" else outcome.value)

    def _consider(self, number: int, value: float | None) -> None:
        loser: int | None = number
        if value is not None:
            self.kept[number] = self.sign * value
            loser = None
            if len(self.kept) > self.keep:
                # Of equals the later one goes.
                loser = min(self.kept, key=lambda n: (self.kept[n], -n))
                del self.kept[loser]
        if loser is not None:
            CheckpointStore(self.folder / "trials" / trial_name(loser)).remove()
