"""Between Ray Tune and the ledger: Tune asks for trials and tells results, the ledger decides.

Ray's OptunaSearch records trials that were stopped early as complete, cannot take conditional baselines,
and loses its storage's agreement with Tune when the driver dies; this small searcher stands in for it.
To Tune every attempt at a trial is a trial of its own; a study's trial may have several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from gisearch.config import to_plain
from gisearch.errors import ConfigError, DiskFullError
from gisearch.search.failures import Loss, loss_of
from gisearch.search.folders import trial_folder
from gisearch.search.keys import (
    EPOCH,
    FAILURE,
    FINISHED,
    HISTORY,
    LOST,
    METRICS,
    NO_SPACE,
    OBJECTIVE,
    SUMMARY,
)
from gisearch.search.ledger import Ledger, Outcome
from gisearch.search.observer import Observer
from gisearch.search.plan import SweepPlan
from gisearch.search.staying import StaysHere
from gisearch.search.supervision import Ending, Supervisor

if TYPE_CHECKING:
    from gisearch.search.distributed import GroupPool


class LedgerSearcher(StaysHere, Searcher):
    """Hands the ledger's configurations to Tune and Tune's results to the ledger.

    Attributes:
        numbers: the study's number by Tune's trial, of those that run.
    """

    def __init__(
        self,
        plan: SweepPlan,
        ledger: Ledger,
        folder: Path,
        observers: list[Observer],
        supervisor: Supervisor,
        groups: GroupPool | None = None,
    ) -> None:
        super().__init__(metric=OBJECTIVE)
        self.plan, self.ledger, self.folder, self.observers = plan, ledger, folder, observers
        self.supervisor, self.groups = supervisor, groups
        self.numbers: dict[str, int] = {}
        self._last: dict[str, dict[str, Any]] = {}
        # The last epoch of every trial that the observers of this process have heard of.
        self._heard: dict[int, int] = {}
        # Once the study cannot be written: what came after a gap in it would hide the gap.
        self._full = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the configuration of Tune's next trial, that there is none, or None for none at present."""
        try:
            return self._suggest(trial_id)
        except DiskFullError as error:
            self._stop(error)
            return str(Searcher.FINISHED)

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.supervisor.leaving.wanted:
            return str(Searcher.FINISHED)
        if (over := self.supervisor.budget.used_up()) is not None:
            self.ledger.ended = True
            for number, value in self.ledger.withdraw().items():
                self._finish(number, Outcome("stopped_early", value, over))
            return str(Searcher.FINISHED)
        while (handout := self.ledger.next()) is not None:
            try:
                config = self.plan.configure(handout.assignment, handout.seed)
            except ConfigError as error:
                self._finish(handout.number, Outcome("failed", reason=str(error)))
                continue
            self.numbers[trial_id] = handout.number
            for observer in self.observers:
                observer.on_start(handout, config)
            job = {
                "experiment": to_plain(config),
                "folder": self._folder_of(handout.number),
                "adopt": None if handout.adopt is None else self._folder_of(handout.adopt),
                "leg": handout.leg,
            }
            return {"job": job, "group": None if self.groups is None else self.groups.take(trial_id)}
        # Tune does not ask again once it was told that it is over, but a trial that runs may yet be lost.
        return None if self.numbers else str(Searcher.FINISHED)

    def _folder_of(self, number: int) -> str:
        # Absolute: a worker has another working directory.
        return str(trial_folder(self.folder, number).resolve())

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an epoch, once: another attempt repeats some, and the closing report repeats the last."""
        number = self.numbers[trial_id]
        try:
            for epoch, best, metrics in json.loads(result.get(HISTORY, "[]")):
                self._record(number, epoch, best, metrics)
            if EPOCH in result:
                self._last[trial_id] = result
                self._record(number, result[EPOCH], result[OBJECTIVE], json.loads(result.get(METRICS, "{}")))
        except DiskFullError as error:
            self._stop(error)

    def _record(self, number: int, epoch: int, best: float, metrics: dict[str, float]) -> None:
        if self._full:
            return
        self.ledger.report(number, epoch, best)
        if epoch > self._heard.get(number, 0):
            self._heard[number] = epoch
            for observer in self.observers:
                observer.on_epoch(number, epoch, best, metrics)

    def _stop(self, error: DiskFullError) -> None:
        """Leave, because the study cannot be written: it is right up to here, and is continued from here."""
        self._full = True
        self.supervisor.leaving.because(str(error))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record how an attempt ended: with it the trial, unless the ledger hands it out again."""
        if trial_id not in self.numbers:
            return
        # Tune tells the epoch at which the scheduler stops a trial here alone.
        self.on_trial_result(trial_id, result or {})
        number = self.numbers.pop(trial_id)
        last = self._last.pop(trial_id, {})
        facts = {**last, **(result or {})}
        ending = self.supervisor.ended(number) or (Ending("lost") if error else None)
        if self.groups is not None:
            self.groups.give_back(trial_id, intact=ending is None or ending.kind not in ("lost", "hung"))
        try:
            if not self._full:
                self._end(number, facts, ending)
                return
        except DiskFullError as error:
            self._stop(error)
        self._pause(number, "the study cannot be written")

    def _end(self, number: int, facts: dict[str, Any], ending: Ending | None) -> None:
        if NO_SPACE in facts:
            self.supervisor.leaving.because(facts[NO_SPACE])
            self._pause(number, "there is no space for its checkpoint")
            return
        if FINISHED not in facts or not facts[FINISHED]:
            if ending is not None and ending.kind == "left":
                self._pause(number, "the sweep was told to leave")
                return
            if ending is not None and ending.kind in ("replaced", "waiting"):
                self.supervisor.again(number)
                reason = "it takes over another trial's state" if ending.kind == "replaced" else None
                self._pause(number, reason)
                return
            if ending is not None and ending.kind == "lost":
                lost = loss_of(ending.error)
                self._lost(number, lost.kind, str(lost), facts)
                return
        elif LOST in facts:
            self._lost(number, facts[LOST], facts[FAILURE], facts)
            return
        self._finish(number, _outcome(facts, ending))

    def _lost(self, number: int, kind: Loss, reason: str, facts: dict[str, Any]) -> None:
        attempts = self.ledger.lost(number, kind)
        if attempts is None:
            self._pause(number, reason)
            return
        if attempts > 1:
            reason = f"{reason.removesuffix('.')} ({attempts} times)."
        self._finish(number, Outcome("failed", facts.get(OBJECTIVE), reason, _summary(facts)))

    def _pause(self, number: int, reason: str | None) -> None:
        for observer in self.observers:
            observer.on_pause(number, reason)

    def _finish(self, number: int, outcome: Outcome) -> None:
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


def _summary(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "epochs": facts.get(EPOCH, 0),
        "best_epoch": facts.get("best_epoch"),
        "seconds": facts.get("train_seconds", 0.0),
        "wall_seconds": facts.get("time_total_s"),
        "peak_memory_mb": facts.get("peak_memory_mb"),
        **json.loads(facts.get(SUMMARY, "{}")),
    }


def _outcome(facts: Mapping[str, Any], ending: Ending | None) -> Outcome:
    value, summary = facts.get(OBJECTIVE), _summary(facts)
    if FAILURE in facts:
        return Outcome("failed", value, str(facts[FAILURE]), summary)
    if facts.get(FINISHED):
        return Outcome("finished", value, None, summary)
    if ending is not None and ending.kind == "hung":
        return Outcome("failed", value, f"{ending.reason}; its process was ended.", summary)
    if value is None:
        return Outcome("failed", None, "it ended without a result.", summary)
    reason = None if ending is None else ending.reason
    return Outcome("stopped_early", value, reason, summary)
