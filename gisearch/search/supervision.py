"""What becomes of a trial after an epoch, and what is done with one that says nothing any more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from gisearch.search.budget import Budget
from gisearch.search.config import SearchConfig
from gisearch.search.keys import EPOCH, FINISHED, LAST_EPOCH, METRICS, OBJECTIVE
from gisearch.search.leaving import Leaving
from gisearch.search.staying import StaysHere

Verdict = Literal["go_on", "stop", "replace", "wait"]
_WATCH_SECONDS = 2.0


class Judge(Protocol):
    """Decides by a trial's score whether it goes on."""

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Hear of an epoch; ``replace`` and ``wait`` stop the trial, to be handed out changed, or later."""

    def again(self, number: int) -> None:
        """Have the ledger hand a trial out again that was stopped so; its process has ended."""

    def ended(self, number: int) -> None:
        """Hear that a trial has ended."""


@dataclass
class Ending:
    """Why a trial was ended from outside.

    Attributes:
        kind: ``stopped`` by its score or a limit; ``replaced`` goes on with another state; ``waiting`` for
            its turn; ``left`` is resumed by another process; ``hung`` gave no sign; ``lost`` its process.
        reason: in words.
        error: what Ray said of a lost process.
    """

    kind: Literal["stopped", "replaced", "waiting", "left", "hung", "lost"]
    reason: str | None = None
    error: BaseException | None = None


@dataclass
class Supervisor:
    """The sweep's rules for running trials, by the study's numbers.

    Attributes:
        config: the limits.
        judge: stops trials by their score; None stops none.
        budget: the sweep's own limits.
        leaving: whether the sweep is to end now.
        clock: seconds.
        metric: the metric by which the judge compares epochs; None compares the best values so far.
        endings: why trials were ended; the searcher takes them out.
    """

    config: SearchConfig
    judge: Judge | None
    budget: Budget
    leaving: Leaving
    clock: Callable[[], float] = time.monotonic
    metric: str | None = None
    endings: dict[int, Ending] = field(default_factory=dict)
    _heard: dict[int, float] = field(default_factory=dict)

    def after_epoch(self, number: int, epoch: int, value: float, *, last: bool = False) -> bool:
        """Return whether the trial goes on after an epoch; after its last one it ends by itself."""
        self._heard[number] = self.clock()
        verdict = self.judge.judge(number, epoch, value) if self.judge else "go_on"
        if last:
            return True
        limit = self.config.trial_minutes
        over = self.budget.used_up()
        if verdict == "replace" and over is None:
            self.endings[number] = Ending("replaced")
        elif verdict == "stop":
            self.endings[number] = Ending("stopped")
        elif self.leaving.wanted:
            self.endings[number] = Ending("left")
        elif over is not None:
            self.endings[number] = Ending("stopped", over)
        elif limit is not None and self.budget.seconds_of(number) >= limit * 60:
            self.endings[number] = Ending("stopped", f"it ran for its {limit:g} minutes")
        elif verdict == "wait":
            self.endings[number] = Ending("waiting")
        else:
            return True
        return False

    def again(self, number: int) -> None:
        """A trial that was replaced, or that waits, may be handed out again."""
        if self.judge is not None:
            self.judge.again(number)

    def started(self, number: int) -> None:
        """A trial's process has started."""
        self._heard[number] = self.clock()

    def ended(self, number: int) -> Ending | None:
        """A trial's process has ended; return why, where it was ended from outside."""
        self._heard.pop(number, None)
        if self.judge is not None:
            self.judge.ended(number)
        return self.endings.pop(number, None)

    def silent(self) -> list[int]:
        """Return the trials that have said nothing for too long."""
        limit = self.config.stall_minutes
        if limit is None:
            return []
        return [n for n, heard in self._heard.items() if self.clock() - heard >= limit * 60]

    def hung(self, number: int) -> None:
        """A silent trial's process is being ended."""
        self._heard.pop(number, None)
        reason = f"no epoch ended within {self.config.stall_minutes:g} minutes"
        self.endings[number] = Ending("hung", reason)


class SupervisedScheduler(StaysHere, FIFOScheduler):
    """Lets Tune ask the supervisor.

    Args:
        supervisor: the rules.
        numbers: the study's number by Tune's trial, kept by the searcher.
    """

    def __init__(self, supervisor: Supervisor, numbers: dict[str, int]) -> None:
        super().__init__()
        self.supervisor, self.numbers = supervisor, numbers

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide after an epoch."""
        number = self.numbers.get(trial.trial_id)
        if number is None or result.get(FINISHED) or EPOCH not in result:
            return str(TrialScheduler.CONTINUE)
        last = bool(result.get(LAST_EPOCH))
        metric = self.supervisor.metric
        value = result[OBJECTIVE] if metric is None else json.loads(result[METRICS])[metric]
        goes_on = self.supervisor.after_epoch(number, result[EPOCH], value, last=last)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        """Remember what Ray said, which the searcher is not told."""
        number = self.numbers.get(trial.trial_id)
        if number is not None and number not in self.supervisor.endings:
            self.supervisor.endings[number] = Ending("lost", error=_error_of(trial))


class Watchdog(StaysHere, Callback):
    """Ends processes that say nothing any more, and the sweep when its time to leave is over."""

    def __init__(self, supervisor: Supervisor, numbers: dict[str, int]) -> None:
        self.supervisor, self.numbers = supervisor, numbers
        self._running: dict[int, Any] = {}
        self._looked = 0.0

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A trial's process has started."""
        number = self.numbers.get(trial.trial_id)
        if number is not None:
            self._running[number] = trial
            self.supervisor.started(number)

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        """Look after the running trials now and then."""
        import ray

        self.supervisor.leaving.check()
        if time.monotonic() - self._looked < _WATCH_SECONDS:
            return
        self._looked = time.monotonic()
        self._running = {n: t for n, t in self._running.items() if t.trial_id in self.numbers}
        for number in self.supervisor.silent():
            actor = self._running[number].temporary_state.ray_actor
            if actor is not None:
                self.supervisor.hung(number)
                ray.kill(actor)


def _error_of(trial: Any) -> BaseException | None:
    """Return what Ray said of a trial's end, which Tune has just written beside its other files of it."""
    from ray import cloudpickle

    if trial.pickled_error_file is not None:
        error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        return error
    if trial.error_file is None:
        return None
    # Some errors, such as that of a process that was ended for its memory, are kept as text, below a heading.
    return RuntimeError(Path(trial.error_file).read_text(encoding="utf-8").partition("\n")[2])
