"""What judges trials by their score: successive halving, which remembers earlier trials, or a population."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from optuna.trial import FrozenTrial

from gisearch.search.config import SearchConfig
from gisearch.search.keys import EPOCH, OBJECTIVE
from gisearch.search.population import Population
from gisearch.seeding import child_generator

if TYPE_CHECKING:
    from gisearch.search.ledger import Ledger
    from gisearch.search.supervision import Judge, Verdict


class Halving:
    """Asynchronous successive halving (ASHA, Li et al. 2020, arXiv 1810.05934), by the study's numbers.

    It compares the best value so far at the same epoch, so that it judges a trial by what the trial would
    be recorded with. ``hyperband`` spreads trials over brackets whose first rungs lie ever later (Li et al.
    2018, arXiv 1603.06560, without its waiting): slow starters live on in the later ones.

    Args:
        mode: whether more is better.
        max_epochs: epochs of a whole trial.
        config: the first rung, and what is kept at every rung.
    """

    def __init__(self, mode: Literal["max", "min"], max_epochs: int, config: SearchConfig) -> None:
        from ray.tune.schedulers import ASHAScheduler, TrialScheduler

        self._stop = TrialScheduler.STOP
        self._seed, factor = config.seed, config.reduction_factor
        last = int(math.log(max_epochs / config.grace_epochs) / math.log(factor) + 1e-9)
        offsets = range(last + 1) if config.scheduler == "hyperband" else (0,)
        # Hyperband's numbers of configurations: each bracket is to cost about the same.
        weights = [factor ** (last - k) * (last + 1) / (last - k + 1) for k in offsets]
        self._shares = [weight / sum(weights) for weight in weights]
        self._brackets = [
            ASHAScheduler(
                time_attr=EPOCH,
                metric=OBJECTIVE,
                mode=mode,
                # A rung at the last epoch stops nobody: a trial ends there by itself.
                max_t=max_epochs,
                grace_period=min(max_epochs, config.grace_epochs * factor**k),
                reduction_factor=factor,
                stop_last_trials=False,
            )
            for k in offsets
        ]
        self._trials: dict[int, tuple[Any, Any]] = {}

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Return whether the trial is among the best at this epoch."""
        if number not in self._trials:
            which = child_generator(self._seed, "bracket", number).choice(len(self._brackets), p=self._shares)
            # The scheduler reads nothing of a trial but its identifier.
            self._trials[number] = self._brackets[which], SimpleNamespace(trial_id=f"t{number}")
            self._brackets[which].on_trial_add(None, self._trials[number][1])
        bracket, trial = self._trials[number]
        decision = bracket.on_trial_result(None, trial, {EPOCH: epoch, OBJECTIVE: value})
        return "stop" if decision == self._stop else "go_on"

    def ended(self, number: int) -> None:
        """Keep the trial's identifier: the same trial may be handed out again."""

    def again(self, number: int) -> None:
        """Do nothing: no trial is replaced."""


def build_judge(
    config: SearchConfig,
    *,
    mode: Literal["max", "min"],
    max_epochs: int,
    earlier: Iterable[FrozenTrial] = (),
    ledger: Ledger | None = None,
) -> Judge | None:
    """Return what judges trials by their score.

    Args:
        config: which scheduler, and its settings.
        mode: whether more is better.
        max_epochs: epochs of a whole trial.
        earlier: trials of the same sweep, whose values the rungs hold already.
        ledger: hands out the members of a population, which needs it.
    """
    if config.scheduler == "pbt":
        assert ledger is not None, "a population needs the ledger"
        return Population(config, ledger, mode=mode, max_epochs=max_epochs)
    if config.scheduler == "none" or config.grace_epochs >= max_epochs:
        return None
    judge = Halving(mode, max_epochs, config)
    for frozen in earlier:
        for epoch, value in sorted(frozen.intermediate_values.items()):
            judge.judge(frozen.number, epoch, value)
    return judge
