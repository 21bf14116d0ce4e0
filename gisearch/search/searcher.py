"""Between Ray Tune and the ledger: Tune asks for trials and tells results, the ledger decides.

Ray's OptunaSearch records trials that were stopped early as complete, cannot take conditional baselines,
and loses its storage's agreement with Tune when the driver dies; this small searcher stands in for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ray.tune.search import Searcher

from gisearch.config import to_plain
from gisearch.errors import ConfigError
from gisearch.search.ledger import Handout, Ledger, Outcome
from gisearch.search.plan import SweepPlan
from gisearch.search.scheduler import EPOCH, OBJECTIVE
from gisearch.search.trial import FAILURE, FINISHED, METRICS, SUMMARY, trial_name
from gisearch.training.experiment import ExperimentConfig


class Observer(Protocol):
    """Hears of every trial: the tracker and the progress view."""

    def on_start(self, handout: Handout, config: ExperimentConfig) -> None:
        """A trial was handed out."""

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        """A trial finished an epoch."""

    def on_end(self, number: int, outcome: Outcome) -> None:
        """A trial ended."""


class LedgerSearcher(Searcher):
    """Hands the ledger's configurations to Tune and Tune's results to the ledger."""

    def __init__(self, plan: SweepPlan, ledger: Ledger, folder: Path, observers: list[Observer]) -> None:
        super().__init__(metric=OBJECTIVE)
        self.plan, self.ledger, self.folder, self.observers = plan, ledger, folder, observers
        self._numbers: dict[str, int] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._epochs: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the configuration of Tune's next trial, or that there is none."""
        while (handout := self.ledger.next()) is not None:
            try:
                config = self.plan.configure(handout.assignment, handout.seed)
            except ConfigError as error:
                self.ledger.finish(handout.number, Outcome("failed", reason=str(error)))
                continue
            self._numbers[trial_id] = handout.number
            for observer in self.observers:
                observer.on_start(handout, config)
            # Absolute: a worker has another working directory.
            folder = (self.folder / "trials" / trial_name(handout.number)).resolve()
            return {"experiment": to_plain(config), "folder": str(folder), "number": handout.number}
        return str(Searcher.FINISHED)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an epoch, once: a retried worker repeats some, and the closing report repeats the last."""
        if EPOCH not in result:
            return
        self._last[trial_id] = result
        if result[EPOCH] <= self._epochs.get(trial_id, 0):
            return
        self._epochs[trial_id] = result[EPOCH]
        number = self._numbers[trial_id]
        self.ledger.report(number, result[EPOCH], result[OBJECTIVE])
        metrics = json.loads(result[METRICS])
        for observer in self.observers:
            observer.on_epoch(number, result[EPOCH], result[OBJECTIVE], metrics)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record how a trial ended."""
        if trial_id not in self._numbers:
            return
        # Tune tells the epoch at which the scheduler stops a trial here alone.
        self.on_trial_result(trial_id, result or {})
        number = self._numbers.pop(trial_id)
        self._epochs.pop(trial_id, None)
        last = self._last.pop(trial_id, {})
        outcome = _outcome(result or last, last, error, self.plan.config.search.max_retries)
        self.ledger.finish(number, outcome)
        for observer in self.observers:
            observer.on_end(number, outcome)

    # Tune saves its searcher for its own way of restoring; the study is the truth instead.
    def save(self, checkpoint_path: str) -> None:
        """Write an empty file: the study holds everything."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the study holds everything."""

    def get_state(self) -> dict[str, Any]:
        """Return nothing: the study holds everything."""
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (Searcher, ())

    def __deepcopy__(self, memo: dict[int, Any]) -> LedgerSearcher:
        return self


def _outcome(result: dict[str, Any], last: dict[str, Any], error: bool, retries: int) -> Outcome:
    facts = {**last, **result}
    summary = {
        "epochs": facts.get(EPOCH, 0),
        "best_epoch": facts.get("best_epoch"),
        "seconds": facts.get("train_seconds", 0.0),
        "wall_seconds": facts.get("time_total_s"),
        "peak_memory_mb": facts.get("peak_memory_mb"),
        **json.loads(facts.get(SUMMARY, "{}")),
    }
    value = facts.get(OBJECTIVE)
    if FAILURE in facts:
        return Outcome("failed", value, str(facts[FAILURE]), summary)
    if error:
        reason = f"the worker process died and was retried {retries} times."
        return Outcome("failed", value, reason, summary)
    done = facts.get(FINISHED) or value is None
    return Outcome("finished" if done else "stopped_early", value, None, summary)
