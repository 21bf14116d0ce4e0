"""The ledger of a sweep: an Optuna study in a real storage, and the rules for its trials.

The study is the truth. Ray runs what the ledger hands out and tells it what came of it; a sweep that
was killed is continued from the study alone. Nothing here knows of Ray, so that thousands of simulated
trials can drive it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from gisearch.search.config import SearchConfig
from gisearch.search.failures import Loss
from gisearch.search.pareto import objective_values
from gisearch.search.sampling import encode, sampler_for, suggest_with
from gisearch.search.space import Assignment, SearchSpace, canonical
from gisearch.seeding import child_generator, child_seed

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
        continued: whether it was handed out before.
        adopt: the trial whose training state it takes over.
    """

    number: int
    assignment: Assignment
    seed: int
    continued: bool = False
    adopt: int | None = None


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
        # Counted once: reading every trial for every trial would cost more the longer a sweep runs.
        trials = study.get_trials(deepcopy=False)
        self._created = len(trials)
        self._enqueued = sum(frozen.state == TrialState.WAITING for frozen in trials)

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
        enqueued = self._enqueued > 0
        repeats = 0
        while True:
            unseen = None
            if not enqueued and (self.config.exhaustive or repeats >= _REPEATS) and self._is_finite:
                unseen = self._draw_unseen()
                if unseen is None:
                    return None
                self.study.enqueue_trial({path: encode(value) for path, value in unseen.items()})
                self._created += 1
                self._enqueued += 1
            self.study.sampler = sampler_for(self.config, self._created)
            trial = self.study.ask()
            if trial.number < self._created:
                self._enqueued -= 1
            else:
                self._created = trial.number + 1
            assignment = self.space.sample(suggest_with(trial))
            trial.set_user_attr("assignment", assignment)
            original = self._seen.get(canonical(assignment))
            if original is None or self.config.duplicates == "replicate":
                return trial, assignment
            self._reuse(trial, original)
            enqueued = False
            repeats += 1

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
        storage = trial.storage
        source = storage.get_trial(
            storage.get_trial_id_from_study_id_trial_number(self.study._study_id, original)
        )
        for step, value in source.intermediate_values.items():
            _set_intermediate_value(trial, step, value)
        if source.state == TrialState.COMPLETE:
            self.study.tell(trial, source.values)
        else:
            self.study.tell(trial, state=source.state)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Record the objective's best value so far at an epoch; return False if it was recorded before."""
        if number not in self._live or epoch <= self._steps.get(number, -1):
            return False
        self._steps[number] = epoch
        _set_intermediate_value(self._live[number], epoch, value)
        return True

    def lost(self, number: int, kind: Loss) -> int | None:
        """Hand a trial out again whose process was lost, if it may be tried again.

        Preemptions and deaths are counted apart, in the study, so that a resumed sweep goes on counting.
        What ran out of memory would do so again.

        Returns:
            None where it will be handed out again, else how often this has happened to it.
        """
        frozen = self.study.get_trials(deepcopy=False)[number]
        losses = {**frozen.user_attrs.get("losses", {})}
        losses[kind] = losses.get(kind, 0) + 1
        self._live[number].set_user_attr("losses", losses)
        allowed = {
            "preempted": self.config.max_preemptions,
            "died": self.config.max_retries,
            "out_of_memory": 0,
        }
        if losses[kind] > allowed[kind]:
            return int(losses[kind])
        self._pending.append(
            Handout(number, frozen.user_attrs["assignment"], self.trial_seed(number), continued=True)
        )
        return None

    def annotate(self, number: int, **facts: Any) -> None:
        """Keep a plain fact with a running trial."""
        for key, value in facts.items():
            self._live[number].set_user_attr(key, value)

    def finish(self, number: int, outcome: Outcome) -> None:
        """Record what came of a trial; a trial that has ended already is left alone."""
        trial = self._live.pop(number, None)
        if trial is None:
            return
        self._steps.pop(number, None)
        trial.set_user_attr(
            "outcome",
            {
                "status": outcome.status,
                "reason": outcome.reason,
                **json.loads(json.dumps(outcome.summary or {})),
            },
        )
        values = objective_values(self.study, outcome.status, outcome.value, outcome.summary)
        if outcome.status == "finished" and values is not None:
            self.study.tell(trial, values)
        elif outcome.status == "stopped_early" and values is not None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, state=TrialState.FAIL)
        for duplicate in self._waiting.pop(number, []):
            self._copy_result(duplicate, number)


def _set_intermediate_value(trial: optuna.Trial, epoch: int, value: float) -> None:
    # Trial.report refuses studies of several objectives; their storage does not.
    trial.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)
