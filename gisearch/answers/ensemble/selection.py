"""Greedy selection of an ensemble with replacement, on the validation part alone.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes 2004, Ensemble Selection from Libraries of Models, ICML.
An ensemble starts from the best few models (their section 2.3) and grows by the model, possibly one it holds
already, whose addition to the average scores best (2.2). The same is done for several random halves of the
models, and the ensembles are averaged (2.4): a model that looks good together with others by luck is absent
from half of them. The best model is in every half here: the paper draws from 2,000 models, many of them
alike, but of ten, five without the best one may have nothing to replace it. What a model weighs is how often
it was taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gisearch.answers.weighted_metrics import Array, weighted_metric
from gisearch.seeding import child_generator

# Of the models beside the best one in a bag: section 2.4 of the paper draws half of them.
_BAG = 0.5
# Scores that differ by less are equal up to rounding.
_DECIMALS, _TINY = 12, 1e-12


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How an ensemble is selected.

    Attributes:
        rounds: models that are added one after the other, those of the start included.
        start: at most so many of the best models start an ensemble; how many of them, the score decides.
        bags: random halves of the models that are selected from, each for itself; 1 selects once, from all
            of them.
        seed: decides the halves.
    """

    rounds: int = 30
    start: int = 5
    bags: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Measure:
    """Scores averages of predictions against the validation part.

    Attributes:
        metric: a name of ``METRICS``, such as ``auroc``.
        mode: whether more is better.
        kind: ``regression`` or ``binary``.
        measured: the validation labels, float64 [n].
        scale: the label's standard deviation in training, which the loss of a regression is in units of.
    """

    metric: str
    mode: Literal["max", "min"]
    kind: str
    measured: Array
    scale: float = 1.0

    def score(self, predicted: Array) -> Array:
        """Return the scores of predictions in label units (probabilities of a binary one), [K, n] to [K]."""
        once = np.ones((1, len(self.measured)))
        found: Array = weighted_metric(self.metric, self.kind, predicted, self.measured, once, self.scale)[0]
        return found

    def gain(self, predicted: Array) -> Array:
        """Return the scores with their sign such that more is better; a score that does not exist is last."""
        scores = self.score(predicted)
        signed: Array = np.where(np.isnan(scores), -math.inf, scores if self.mode == "max" else -scores)
        return signed


@dataclass(frozen=True)
class Selection:
    """A selected ensemble.

    Attributes:
        weights: what each candidate weighs, float64 [K]; 0 where it was not taken; their sum is 1.
        paths: per bag, the validation score of its ensemble after each round.
    """

    weights: Array
    paths: tuple[tuple[float, ...], ...]


def select(predicted: Array, measure: Measure, rules: Rules) -> Selection:
    """Select an ensemble.

    Args:
        predicted: what the candidates predict for the validation part, float64 [K, n]: label units, or
            probabilities of a binary label.
        measure: scores them.
        rules: how to select.
    """
    # The best first, of equals the earlier one: that decides ties below.
    order = np.argsort(-measure.gain(predicted).round(_DECIMALS), kind="stable")
    weights, paths = np.zeros(len(predicted)), []
    for bag in _bags(len(predicted), rules):
        counts, path = _grow(predicted[order[bag]], measure, rules)
        weights[order[bag]] += counts / counts.sum()
        paths.append(tuple(path))
    return Selection(weights / weights.sum(), tuple(paths))


def _bags(count: int, rules: Rules) -> list[npt.NDArray[np.int64]]:
    """Return the ranks of the models in each bag, ascending."""
    if rules.bags == 1 or count < 3:
        return [np.arange(count)]
    size = math.ceil(_BAG * (count - 1))
    drawn = (
        1 + child_generator(rules.seed, "ensemble", bag).choice(count - 1, size, replace=False)
        for bag in range(rules.bags)
    )
    return [np.append(0, np.sort(others)) for others in drawn]


def _grow(predicted: Array, measure: Measure, rules: Rules) -> tuple[Array, list[float]]:
    """Return how often each model, the best first, is in the best ensemble on the way, and all scores."""
    sizes = np.arange(1, min(rules.start, rules.rounds, len(predicted)) + 1)
    starts = measure.gain(np.cumsum(predicted[: len(sizes)], axis=0) / sizes[:, None])
    # Of equals the smaller start.
    size = _first_best(starts) + 1
    order, gains = list(range(size)), starts[:size].tolist()
    total = predicted[:size].sum(axis=0)
    while len(order) < rules.rounds:
        found = measure.gain((total + predicted) / (len(order) + 1))
        taken = _first_best(found)
        order.append(taken)
        gains.append(float(found[taken]))
        total += predicted[taken]
    best = _first_best(np.array(gains)) + 1
    sign = 1.0 if measure.mode == "max" else -1.0
    counts = np.bincount(order[:best], minlength=len(predicted)).astype(np.float64)
    return counts, [sign * gain for gain in gains]


def _first_best(gains: Array) -> int:
    """Return the first of those that are best up to rounding."""
    return int(np.flatnonzero(gains >= gains.max() - _TINY)[0])
