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
from gisearch.search.failures import Loss, allowed_losses
from gisearch.search.lineage import LINEAGE, complete, donor_of, has_begun, write_down
from gisearch.search.pareto import objective_values
from gisearch.search.sampling import encode, sampler_for, shuffled, suggest_with
from gisearch.search.space import Assignment, SearchSpace, canonical
from gisearch.search.study import copy_result, set_intermediate_value
from gisearch.seeding import child_seed

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
        leg: how often it has taken over another trial's state, this time included.
    """

    number: int
    assignment: Assignment
    seed: int
    continued: bool = False
    adopt: int | None = None
    leg: int = 0


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
        self._is_population = config.scheduler == "pbt"
        self._is_finite = space.size(limit=100_000) is not None
        self.handed_out = 0
        self.ended = False
        self._pending: list[int] = []
        self._adopting: set[int] = set()
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
                    self._take_up(frozen.number)
        for frozen in duplicates:
            if frozen.state == TrialState.RUNNING:
                self._reuse(self._reopen(frozen), frozen.user_attrs["duplicate_of"])

    def _take_up(self, number: int) -> None:
        complete(self._live[number])
        if donor_of(self._live[number].user_attrs) is not None:
            self._adopting.add(number)
        self._pending.append(number)

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
        # Members of a population that wait for their turn do so until every one has begun.
        waits = self._is_population and self._has_more
        if self._pending and (not waits or self._pending[0] in self._adopting):
            return self._again(self._pending.pop(0))
        if not self._has_more:
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

    @property
    def _has_more(self) -> bool:
        return not self.ended and (self.config.exhaustive or self.handed_out < self.config.trials)

    def _again(self, number: int) -> Handout:
        attrs = self._live[number].user_attrs
        leg = len(attrs.get(LINEAGE, ()))
        seed = self.trial_seed(number)
        return Handout(number, attrs["assignment"], seed, continued=True, adopt=donor_of(attrs), leg=leg)

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
            trial = self._ask_study()
            assignment = self.space.sample(suggest_with(trial))
            trial.set_user_attr("assignment", assignment)
            original = self._seen.get(canonical(assignment))
            # Members of a population that begin alike do not stay alike.
            if original is None or self.config.duplicates == "replicate" or self._is_population:
                return trial, assignment
            self._reuse(trial, original)
            enqueued = False
            repeats += 1

    def _ask_study(self) -> optuna.Trial:
        study = self.study
        if self._enqueued:
            self._enqueued -= 1
            trial = study.ask()
        else:
            # What Study.ask does then, without its look at every trial to find that none is enqueued.
            study._thread_local.cached_all_trials = None
            trial = optuna.Trial(study, study._storage.create_new_trial(study._study_id))
        self._created = max(self._created, trial.number + 1)
        return trial

    def _draw_unseen(self) -> Assignment | None:
        """Return an unseen configuration of a finite space; None for none left."""
        if self._unseen is None:
            self._unseen = shuffled(self.space, self.config.seed)
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
            copy_result(self.study, trial, original)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Record the objective's best value so far at an epoch; return False if it was recorded before."""
        if number in self._adopting:
            self._adopting.remove(number)
            has_begun(self._live[number])
        if number not in self._live or epoch <= self._steps.get(number, -1):
            return False
        self._steps[number] = epoch
        set_intermediate_value(self._live[number], epoch, value)
        return True

    def lost(self, number: int, kind: Loss) -> int | None:
        """Hand a trial out again whose process was lost, if it may be tried again.

        Preemptions and deaths are counted apart, in the study, so that a resumed sweep goes on counting.

        Returns:
            None where it will be handed out again, else how often this has happened to it.
        """
        losses = {**self._live[number].user_attrs.get("losses", {})}
        losses[kind] = losses.get(kind, 0) + 1
        self._live[number].set_user_attr("losses", losses)
        if losses[kind] > allowed_losses(self.config, kind):
            return int(losses[kind])
        self._pending.append(number)
        return None

    def replace(self, number: int, donor: int, epoch: int, assignment: Assignment) -> None:
        """Hand a running trial out again, with other values and from another trial's training state.

        Until an epoch of it is reported, it is handed out so, by a resumed sweep too.

        Args:
            number: the trial, whose process has ended.
            donor: the trial whose state it takes over.
            epoch: its last epoch before.
            assignment: its values from then on.
        """
        write_down(self._live[number], donor, epoch, assignment)
        self._adopting.add(number)
        # First: meanwhile the other would go on, perhaps to its end.
        self._pending.insert(0, number)

    def wait(self, number: int) -> None:
        """Hand a running trial, whose process has ended, out again in its turn."""
        self._pending.append(number)

    @property
    def is_crowded(self) -> bool:
        """Whether a trial waits for another's place."""
        return bool(self._pending) or self._has_more

    def withdraw(self) -> dict[int, float]:
        """Hand the waiting members of a population out no more; return their best values so far."""
        waiting = set(self._pending) if self._is_population else set()
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.number in waiting]
        reached = {t.number: t.intermediate_values[t.last_step] for t in trials if t.last_step is not None}
        self._pending = [number for number in self._pending if number not in reached]
        return reached

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
        self._adopting.discard(number)
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
            copy_result(self.study, duplicate, number)
