"""Which choices mattered: how much of the trials' spread each searched parameter explains.

A first look at one sweep's trials, not a test: trials of a search are neither balanced nor independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gisearch.search.results import SweepResults, TrialRow

_BINS = 3


@dataclass(frozen=True)
class ValueEffect:
    """How the trials with one value (or in one part of a range) did.

    Attributes:
        label: the value, or the part of the range.
        trials: how many trials had it.
        median: their median objective.
        low: the first quartile.
        high: the third quartile.
        best: their best objective.
    """

    label: str
    trials: int
    median: float
    best: float
    low: float
    high: float


@dataclass(frozen=True)
class ParameterEffect:
    """What one parameter did.

    Attributes:
        path: the parameter.
        explained: omega squared, the share of the objective's variance between its values, corrected for
            the number of values; 0 for none, 1 for all. Over the trials in which the parameter existed.
        values: its values, best median first.
    """

    path: str
    explained: float
    values: tuple[ValueEffect, ...]


def parameter_effects(results: SweepResults) -> tuple[ParameterEffect, ...]:
    """Return the effect of every searched parameter, the largest first.

    Trials without a value are left out, and so are reused results, which would count twice.
    """
    rows = [row for row in results.rows if row.value is not None and row.status != "reused"]
    paths = list(dict.fromkeys(path for row in rows for path in row.params))
    effects = [_effect(path, [row for row in rows if path in row.params], results.mode) for path in paths]
    return tuple(sorted(effects, key=lambda effect: (-effect.explained, effect.path)))


def _effect(path: str, rows: Sequence[TrialRow], mode: str) -> ParameterEffect:
    groups: dict[str, list[float]] = {}
    labels = _labels([row.params[path] for row in rows])
    for row, label in zip(rows, labels, strict=True):
        groups.setdefault(label, []).append(float(row.value or 0.0))
    best = max if mode == "max" else min
    values = [
        ValueEffect(
            label,
            len(group),
            float(np.median(group)),
            float(best(group)),
            float(np.percentile(group, 25)),
            float(np.percentile(group, 75)),
        )
        for label, group in groups.items()
    ]
    values.sort(key=lambda value: value.median, reverse=mode == "max")
    return ParameterEffect(path, omega_squared(groups), tuple(values))


def omega_squared(groups: Mapping[str, Sequence[float]]) -> float:
    """Return the corrected share of variance that lies between groups, at least 0.

    Source: Hays 1963, Statistics for Psychologists; unlike eta squared it does not grow with the number
    of groups by chance alone.
    """
    everything = np.concatenate([np.asarray(group, dtype=float) for group in groups.values()])
    within_freedom = len(everything) - len(groups)
    total = float(((everything - everything.mean()) ** 2).sum())
    if len(groups) < 2 or within_freedom < 1 or total == 0.0:
        return 0.0
    within = float(sum(((np.asarray(g) - np.mean(g)) ** 2).sum() for g in groups.values()))
    noise = within / within_freedom
    return max(0.0, (total - within - (len(groups) - 1) * noise) / (total + noise))


def _labels(values: Sequence[Any]) -> list[str]:
    """Return a group label per value: the value itself, or a third of the range of many numbers."""
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    # Whole numbers are counted out while they are few; of real numbers no two trials share one.
    few = 2 * _BINS if all(isinstance(v, int) for v in values) else _BINS
    if not numeric or len(set(values)) <= few:
        return ["on" if v is True else "off" if v is False else str(v) for v in values]
    numbers = np.asarray(values, dtype=float)
    edges = np.quantile(numbers, np.linspace(0, 1, _BINS + 1))
    which = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, _BINS - 1)
    return [f"{edges[i]:.2g} to {edges[i + 1]:.2g}" for i in which]
