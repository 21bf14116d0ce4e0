"""Population based training: members that train beside each other, the worst of which go on from the best.

Source: Jaderberg et al. 2017, arXiv 1711.09846, with their truncation selection and perturbation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from optuna.trial import TrialState

from gisearch.search.config import SearchConfig, SweepConfig
from gisearch.search.domains import Choice, Range, same
from gisearch.search.ledger import Ledger
from gisearch.search.lineage import donor_of
from gisearch.search.space import Assignment, Parameter, SearchSpace
from gisearch.seeding import child_generator

if TYPE_CHECKING:
    from gisearch.search.supervision import Verdict

_EXPLORED = "optimizer."
_FACTORS = (0.8, 1.2)
_RESAMPLED = 0.25
# Kept with a member's trial: its score when it was last compared.
_SCORE = "score"


@dataclass(frozen=True)
class _Replacement:
    """What becomes of a member: whose state it takes over, after which epoch, with which values."""

    donor: int
    epoch: int
    assignment: Assignment


class Population:
    """Judges members by the paper's rules, each when it is ready and without waiting for the others.

    A member that is among the worst after ``perturbation_epochs`` takes over weights, optimiser state and
    epoch of one of the best, and everything of its configuration but ``optimizer.*``, which is explored.
    Scores are those of the epochs themselves, not the best so far that other schedulers compare: it is the
    present state that is handed on, and a best value that was inherited would shelter a member that has
    become bad. Each member counts with the last score it had, whatever epoch that was; those that have
    ended do not count.

    Where more members than places exist, a member that has been compared gives its place to one that waits.

    Args:
        config: how often members are compared, and how many count as worst and best.
        ledger: hands members out again.
        mode: whether more is better.
        max_epochs: epochs of a whole trial.
    """

    def __init__(
        self, config: SearchConfig, ledger: Ledger, *, mode: Literal["max", "min"], max_epochs: int
    ) -> None:
        self.config, self.ledger, self.max_epochs = config, ledger, max_epochs
        self._sign = 1.0 if mode == "max" else -1.0
        self._scores = {n: float(attrs[_SCORE]) for n, attrs in self._members().items() if _SCORE in attrs}
        # The epoch after which a member began to train undisturbed.
        self._since: dict[int, int] = {}
        self._decided: dict[int, _Replacement | None] = {}

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        """Compare a member that is ready with the others.

        Args:
            number: its number in the study.
            epoch: the epoch that it ended.
            value: the objective after this epoch.
        """
        self._scores[number] = self._sign * value if math.isfinite(value) else -math.inf
        since = self._since.setdefault(number, epoch - 1)
        if epoch - since < self.config.perturbation_epochs:
            return "go_on"
        members = self._members()
        if epoch >= members[number]["assignment"].get("trainer.max_epochs", self.max_epochs):
            return "go_on"
        self._since[number] = epoch
        self._decided.pop(number, None)
        if math.isfinite(value):
            self.ledger.annotate(number, **{_SCORE: self._scores[number]})
        generator = child_generator(self.config.seed, "population", number, epoch)
        donor = self._exploit(number, members, generator)
        if donor is not None:
            assignment = explore(self.ledger.space, members[donor]["assignment"], generator)
            self._decided[number] = _Replacement(donor, epoch, assignment)
            return "replace"
        if self.ledger.is_crowded:
            self._decided[number] = None
            return "wait"
        return "go_on"

    def _exploit(
        self, number: int, members: Mapping[int, Mapping[str, Any]], generator: np.random.Generator
    ) -> int | None:
        """Return one of the best members for one of the worst, and None for any other (truncation)."""
        ranked = sorted((n for n in members if n in self._scores), key=lambda n: (-self._scores[n], n))
        count = min(math.ceil(len(ranked) * self.config.quantile), len(ranked) // 2)
        if number not in ranked[len(ranked) - count :]:
            return None
        adopting = {n: donor for n in members if (donor := self._donor_of(n, members)) is not None}
        # What it is to hand on must still be there when the other begins.
        if number in adopting.values():
            return None
        # A member that has yet to take over another's state has none of its own to give.
        donors = [n for n in ranked[:count] if self._scores[n] > self._scores[number] and n not in adopting]
        return int(generator.choice(donors)) if donors else None

    def _donor_of(self, number: int, members: Mapping[int, Mapping[str, Any]]) -> int | None:
        decided = self._decided.get(number)
        return donor_of(members[number]) if decided is None else decided.donor

    def _members(self) -> dict[int, Mapping[str, Any]]:
        """Return what is kept with the members that have not ended, by number."""
        running = self.ledger.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return {t.number: t.user_attrs for t in running if "assignment" in t.user_attrs}

    def again(self, number: int) -> None:
        """Hand a member, whose process has ended, out again as was decided."""
        decided = self._decided.pop(number)
        if decided is None:
            self.ledger.wait(number)
            return
        self._since.pop(number)
        self.ledger.replace(number, decided.donor, decided.epoch, decided.assignment)

    def ended(self, number: int) -> None:
        """Keep the member's score until its trial ends, which the study tells."""


def explore(space: SearchSpace, assignment: Assignment, generator: np.random.Generator) -> Assignment:
    """Return the values with those of ``optimizer.*`` perturbed, all others as they are.

    Numbers are multiplied by 0.8 or 1.2 and kept within their range; of listed values another is drawn in
    one of four cases. Values on which the existence of a key outside ``optimizer`` depends do not change.
    """

    def suggest(parameter: Parameter) -> Any:
        path, domain = parameter.path, parameter.domain
        known = assignment.get(path)
        if path in assignment and not path.startswith(_EXPLORED):
            return known
        if isinstance(domain, Choice):
            drawn = domain.values[generator.integers(len(domain.values))]
            return known if path in assignment and generator.random() >= _RESAMPLED else drawn
        if path not in assignment:
            # It exists under the new values of others only.
            return draw(domain, generator)
        return perturb(domain, assignment[path], float(generator.choice(_FACTORS)))

    explored = space.sample(suggest)
    kept = {path for path in {*assignment, *explored} if not path.startswith(_EXPLORED)}
    unchanged = all(p in assignment and p in explored and same(assignment[p], explored[p]) for p in kept)
    return explored if unchanged else dict(assignment)


def perturb(domain: Range, value: float, factor: float) -> float:
    """Return a number of the range near ``factor * value``; of steps at least the next one."""
    found = domain.exact(value * factor)
    if domain.step is not None and found == value:
        found = domain.exact(value + (domain.step if factor > 1 else -domain.step))
    return found


def draw(domain: Range, generator: np.random.Generator) -> float:
    """Return a random number of the range, of a ``log`` range with an even logarithm."""
    if domain.log:
        return domain.exact(math.exp(generator.uniform(math.log(domain.low), math.log(domain.high))))
    return domain.exact(generator.uniform(domain.low, domain.high))


def population_problem(config: SweepConfig, space: SearchSpace) -> str | None:
    """Return why a population cannot be trained so; None where it can, or none is asked for."""
    search, paths = config.search, [p.path for p in space.parameters]
    if search.scheduler != "pbt":
        return None
    if config.objective.cost != "none":
        return (
            "search.scheduler: 'pbt' compares scores alone and cannot search a cost as well; expected "
            f"objective.cost=none, got {config.objective.cost!r}"
        )
    if search.exhaustive:
        return (
            "search.scheduler: 'pbt' changes values while it trains and cannot try every configuration; "
            "expected search.exhaustive=false"
        )
    if not any(path.startswith(_EXPLORED) for path in paths):
        return (
            "search.scheduler: 'pbt' changes the keys of optimizer and the space has none; expected at least "
            "one, such as optimizer.lr"
        )
    if config.trainer.checkpoint_seconds > 0 or "trainer.checkpoint_seconds" in paths:
        return (
            "search.scheduler: 'pbt' hands on what a member was after its last epoch; expected "
            "trainer.checkpoint_seconds=0"
        )
    if search.trials < 2:
        return f"search.trials: a population needs at least 2 members, got {search.trials}"
    return None


def with_population(config: SweepConfig, max_epochs: int) -> tuple[SweepConfig, list[str]]:
    """Have the members of a population drawn at random; return what to tell the user of it.

    A sampler that learns from trials would learn from values that those trials do not have any more.
    """
    search, notes = config.search, list[str]()
    if search.scheduler != "pbt":
        return config, notes
    if search.sampler != "random":
        notes.append("the members of the population begin with random values: pbt learns by itself")
    if search.perturbation_epochs >= max_epochs:
        notes.append(
            f"no member will ever be replaced: search.perturbation_epochs={search.perturbation_epochs} "
            f"is not below the {max_epochs} epochs of a trial"
        )
    return replace(config, search=replace(search, sampler="random")), notes
