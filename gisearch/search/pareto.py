"""The second objective of a search: what a trial cost, and which trials nothing beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import optuna
from optuna.study import StudyDirection

from gisearch.errors import ConfigError
from gisearch.training.objective import Cost, Objective

FRONT_FOLDER = "front"
_COST = "cost"


def directions_of(objective: Objective) -> list[StudyDirection]:
    """Return the directions of a study: the score's, and with a cost that of the cost."""
    score = StudyDirection.MAXIMIZE if objective.mode == "max" else StudyDirection.MINIMIZE
    return [score] if objective.cost is None else [score, StudyDirection.MINIMIZE]


def mode_of(study: optuna.Study) -> Literal["max", "min"]:
    """Return whether a higher or a lower score is better in a study."""
    return "max" if study.directions[0] == StudyDirection.MAXIMIZE else "min"


def cost_of(study: optuna.Study) -> Cost | None:
    """Return what a study minimises beside its score, or None."""
    cost: Cost | None = study.user_attrs.get(_COST) if len(study.directions) > 1 else None
    return cost


def keep_objectives(study: optuna.Study, objective: Objective) -> None:
    """Note the cost with a new study; an earlier one must have the same objectives.

    Raises:
        ConfigError: the study was started with another cost, or with a score of another direction.
    """
    if study.directions[0] != directions_of(objective)[0]:
        raise ConfigError(
            f"objective.metric: {study.study_name!r} was started to {mode_of(study)}imise its metric, but "
            f"{objective.metric!r} is {objective.mode}imised; a resumed sweep keeps its objectives."
        )
    if objective.cost is not None and len(study.directions) > 1 and _COST not in study.user_attrs:
        study.set_user_attr(_COST, objective.cost)
    if cost_of(study) != objective.cost:
        raise ConfigError(
            f"objective.cost: {study.study_name!r} was started with {cost_of(study) or 'none'!r}, "
            f"got {objective.cost or 'none'!r}; a resumed sweep keeps its objectives."
        )


def measured_cost(cost: Cost, summary: Mapping[str, Any] | None) -> float | None:
    """Return what a trial cost, from the facts that its outcome keeps; None where they do not say.

    Args:
        cost: ``seconds`` of training, or trainable ``parameters`` (0 for a model that has none).
        summary: the facts, see :class:`gisearch.search.ledger.Outcome`.
    """
    facts = summary or {}
    value = facts.get("seconds") if cost == "seconds" else (facts.get("parameters") or {}).get("total")
    return None if value is None else float(value)


def shown_cost(cost: Cost, value: float) -> str:
    """Return a cost as tables show it: whole parameters, or hundredths of seconds."""
    return f"{value:,.0f}" if cost == "parameters" else f"{value:,.2f}"


def objective_values(
    study: optuna.Study, status: str, score: float | None, summary: Mapping[str, Any] | None
) -> list[float] | None:
    """Return what a study is told of a trial: its score, with its cost where that is an objective too.

    None where one of them is not known, and for a trial that has failed. A trial that was stopped early has
    no cost to compare (it did not train to its end), and Optuna's TPE cannot rank it by several objectives.
    """
    cost = cost_of(study)
    if status not in (("finished", "stopped_early") if cost is None else ("finished",)):
        return None
    values = [score] if cost is None else [score, measured_cost(cost, summary)]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def pareto_front(points: Sequence[tuple[float, float]], mode: Literal["max", "min"]) -> list[int]:
    """Return the indices of the points that no other point dominates, best score first.

    A point dominates another if it is at least as good in score and in cost, and better in one of them;
    of equal points none dominates.

    Args:
        points: score and cost of each; the cost is minimised.
        mode: whether a higher or a lower score is better.
    """
    sign = -1 if mode == "max" else 1
    order = sorted(range(len(points)), key=lambda i: (sign * points[i][0], points[i][1], i))
    front: list[int] = []
    for i in order:
        # Everything before it has a score at least as good: only a lower cost can still place it.
        if not front or points[i][1] < points[front[-1]][1] or points[i] == points[front[-1]]:
            front.append(i)
    return front
