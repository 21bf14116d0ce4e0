"""The ledger of a sweep: an Optuna study in a real storage, and the rules for its trials.

The study is the truth. Ray runs what the ledger hands out and tells it what came of it; a sweep that
was killed is continued from the study alone. Nothing here knows of Ray, so that thousands of simulated
trials can drive it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from gisearch.errors import ConfigError
from gisearch.search.config import SearchConfig
from gisearch.search.sampling import encode, sampler_for, suggest_with
from gisearch.search.space import Assignment, SearchSpace, canonical
from gisearch.seeding import child_generator, child_seed
from gisearch.training.metrics import Objective

STUDY_FILE = "study.journal"
Status = Literal["finished", "stopped_early", "failed", "reused", "running"]

# How often a sampler may repeat itself before an unseen configuration is drawn for it.
_REPEATS = 5


@dataclass(frozen=True)
class Handout:
    """One configuration to train.

    Attributes:
        number: the trial's number in the study.
        assignment: values of the active parameters.
        seed: the trial's own master seed.
        continued: whether an earlier process already started it.
    """

    number: int
    assignment: Assignment
    seed: int
    continued: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        status: how it ended.
        value: the objective at the best epoch; None for a trial without one.
        reason: why it failed.
        summary: plain facts to keep: epochs, seconds, parameters, best_epoch, peak_memory_mb.
    """

    status: Status
    value: float | None = None
    reason: str | None = None
    summary: Mapping[str, Any] | None = None


def open_study(folder: Path, name: str, objective: Objective) -> optuna.Study:
    """Open or create the study of the sweep in ``folder``.

    A journal file: one appended line per change, an order of magnitude faster than a database, safe for
    several processes, and readable by optuna-dashboard.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / STUDY_FILE)))
    direction: Literal["maximize", "minimize"] = "maximize" if objective.mode == "max" else "minimize"
    return optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)


def load_study(folder: Path) -> optuna.Study:
    """Open the study of an existing sweep.

    Raises:
        ConfigError: the folder holds no sweep.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / STUDY_FILE
    if not path.is_file():
        raise ConfigError(f"{folder} holds no sweep: it has no {STUDY_FILE}.")
    storage = JournalStorage(JournalFileBackend(str(path)))
    names = optuna.get_all_study_names(storage)
    if not names:
        raise ConfigError(f"{path} holds no study: the sweep never started a trial.")
    return optuna.load_study(study_name=names[0], storage=storage)


class Ledger:
    """Hands out configurations and records what came of them."""

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        config: SearchConfig,
        *,
        baselines: tuple[Assignment, ...] = (),
        seed: int = 0,
    ) -> None:
        """Open the ledger; on a study with trials, continue where it ended.

        Args:
            study: a new study, or one that an earlier process left.
            space: the search space.
            config: the search.
            baselines: configurations to hand out first.
            seed: master seed that the trials' own seeds derive from.
        """
        self.study, self.space, self.config, self.seed = study, space, config, seed
        self._live: dict[int, optuna.Trial] = {}
        self._seen: dict[str, int] = {}
        self._waiting: dict[int, list[optuna.Trial]] = {}
        self._steps: dict[int, int] = {}
        self._is_finite = space.size(limit=100_000) is not None
        self.handed_out = 0
        self.ended = False
        self._pending: list[Handout] = []
        self._unseen: list[Assignment] | None = None
        trials = study.get_trials(deepcopy=False)
        if not trials:
            for baseline in baselines:
                study.enqueue_trial(
                    {path: encode(value) for path, value in baseline.items()}, user_attrs={"baseline": True}
                )
        self._recover(trials)

    def _recover(self, trials: list[FrozenTrial]) -> None:
        """Take up what an earlier process left: running trials are handed out again."""
        duplicates = []
        for frozen in trials:
            if frozen.state == TrialState.WAITING:
                continue
            if "duplicate_of" in frozen.user_attrs:
                duplicates.append(frozen)
            elif "assignment" not in frozen.user_attrs:
                # Killed between asking and writing down what was asked for: nothing was trained.
                self.study.tell(frozen.number, state=TrialState.FAIL, skip_if_finished=True)
                fixed = frozen.system_attrs.get("fixed_params")
                if frozen.state == TrialState.RUNNING and fixed is not None:
                    self.study.enqueue_trial(fixed, user_attrs=frozen.user_attrs)
            else:
                assignment = frozen.user_attrs["assignment"]
                self._seen.setdefault(canonical(assignment), frozen.number)
                self.handed_out += 1
                if frozen.state == TrialState.RUNNING:
                    self._live[frozen.number] = self._reopen(frozen)
                    self._steps[frozen.number] = frozen.last_step if frozen.last_step is not None else -1
                    self._pending.append(
                        Handout(frozen.number, assignment, self.trial_seed(frozen.number), continued=True)
                    )
        for frozen in duplicates:
            if frozen.state == TrialState.RUNNING:
                self._reuse(self._reopen(frozen), frozen.user_attrs["duplicate_of"])

    def _reopen(self, frozen: FrozenTrial) -> optuna.Trial:
        return optuna.Trial(self.study, frozen._trial_id)

    def trial_seed(self, number: int) -> int:
        """Return the master seed of one trial.

        Every configuration gets the same seed, so that they differ by configuration alone; explicit
        replicates differ by seed.
        """
        if self.config.duplicates == "replicate":
            return child_seed(self.seed, "trial", number) % 2**31
        return self.seed

    def next(self) -> Handout | None:
        """Return the next configuration to train, or None where the budget or the space is used up."""
        if self._pending:
            return self._pending.pop(0)
        if self.handed_out >= self.config.trials and not self.config.exhaustive:
            self.ended = True
            return None
        asked = self._ask()
        if asked is None:
            self.ended = True
            return None
        trial, assignment = asked
        self._seen.setdefault(canonical(assignment), trial.number)
        self._live[trial.number] = trial
        self.handed_out += 1
        return Handout(trial.number, assignment, self.trial_seed(trial.number))

    def _ask(self) -> tuple[optuna.Trial, Assignment] | None:
        """Ask the study for a configuration to train; None where every one has been tried.

        A configuration that was tried takes the earlier result instead. Where the sampler keeps repeating
        itself in a finite space, an untried configuration is drawn for it.
        """
        enqueued = bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        repeats = 0
        while True:
            unseen = None
            if not enqueued and (self.config.exhaustive or repeats >= _REPEATS) and self._is_finite:
                unseen = self._draw_unseen()
                if unseen is None:
                    return None
                self.study.enqueue_trial({path: encode(value) for path, value in unseen.items()})
            self.study.sampler = sampler_for(self.config, self._next_number())
            trial = self.study.ask()
            assignment = self.space.sample(suggest_with(trial))
            trial.set_user_attr("assignment", assignment)
            original = self._seen.get(canonical(assignment))
            if original is None or self.config.duplicates == "replicate":
                return trial, assignment
            self._reuse(trial, original)
            enqueued = False
            repeats += 1

    def _next_number(self) -> int:
        return len(self.study.get_trials(deepcopy=False))

    def _draw_unseen(self) -> Assignment | None:
        """Return an unseen configuration of a finite space in seeded random order; None for none left."""
        if self._unseen is None:
            everything = list(self.space.enumerate())
            order = child_generator(self.config.seed, "exhaustive").permutation(len(everything))
            self._unseen = [everything[i] for i in reversed(order)]
        while self._unseen:
            assignment = self._unseen.pop()
            if canonical(assignment) not in self._seen:
                return assignment
        return None

    def _reuse(self, trial: optuna.Trial, original: int) -> None:
        """Give a duplicate its original's result: now, or once the original has one."""
        trial.set_user_attr("duplicate_of", original)
        if original in self._live:
            self._waiting.setdefault(original, []).append(trial)
        else:
            self._copy_result(trial, original)

    def _copy_result(self, trial: optuna.Trial, original: int) -> None:
        source = self.study.get_trials(deepcopy=False)[original]
        for step, value in source.intermediate_values.items():
            trial.report(value, step)
        if source.state == TrialState.COMPLETE:
            self.study.tell(trial, source.value)
        else:
            self.study.tell(trial, state=source.state)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Record the objective's best value so far at an epoch; repeated epochs are ignored."""
        if number in self._live and epoch > self._steps.get(number, -1):
            self._steps[number] = epoch
            self._live[number].report(value, epoch)

    def annotate(self, number: int, **facts: Any) -> None:
        """Keep a plain fact with a running trial."""
        for key, value in facts.items():
            self._live[number].set_user_attr(key, value)

    def finish(self, number: int, outcome: Outcome) -> None:
        """Record what came of a trial; a trial that has ended already is left alone."""
        trial = self._live.pop(number, None)
        if trial is None:
            return
        trial.set_user_attr(
            "outcome",
            {
                "status": outcome.status,
                "reason": outcome.reason,
                **json.loads(json.dumps(outcome.summary or {})),
            },
        )
        if outcome.status == "finished" and outcome.value is not None:
            self.study.tell(trial, outcome.value)
        elif outcome.status == "stopped_early" and outcome.value is not None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, state=TrialState.FAIL)
        for duplicate in self._waiting.pop(number, []):
            self._copy_result(duplicate, number)
