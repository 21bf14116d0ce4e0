"""Greedy selection of an ensemble: against brute force, and what it must never do."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest

from gisearch.answers.ensemble.selection import Measure, Rules, select

ONCE = Rules(bags=1, start=1, rounds=4)


def noisy_models(count: int, noise: float = 1.0, size: int = 200, seed: int = 0) -> tuple[Any, Any]:
    """A measured label, and models that see it through independent noise."""
    generator = np.random.default_rng(seed)
    measured = generator.normal(size=size)
    return measured + noise * generator.normal(size=(count, size)), measured


def pearson(measured: Any) -> Measure:
    return Measure("pearson", "max", "regression", measured)


def step_by_step(predicted: Any, measure: Measure, rounds: int) -> Any:
    """The algorithm as the paper words it: start with the best, add what helps most, keep the best so far."""

    def value(models: list[int]) -> float:
        score = float(measure.score(predicted[models].mean(axis=0)[None])[0])
        return score if measure.mode == "max" else -score

    taken = [max(range(len(predicted)), key=lambda i: value([i]))]
    on_the_way = [list(taken)]
    while len(taken) < rounds:
        taken = [*taken, max(range(len(predicted)), key=lambda i: value([*taken, i]))]
        on_the_way.append(taken)
    best = max(on_the_way, key=value)
    return np.bincount(best, minlength=len(predicted)) / len(best)


@pytest.mark.parametrize(
    ("metric", "mode"), [("pearson", "max"), ("spearman", "max"), ("rmse", "min"), ("loss", "min")]
)
def test_equals_the_algorithm_done_by_hand(metric: str, mode: Any) -> None:
    predicted, measured = noisy_models(5)
    predicted = predicted * np.array([1.0, 0.8, 1.2, 1.0, 0.9])[:, None]
    measure = Measure(metric, mode, "regression", measured)
    found = select(predicted, measure, Rules(bags=1, start=1, rounds=7))
    np.testing.assert_allclose(found.weights, step_by_step(predicted, measure, 7))
    assert (found.weights > 0).sum() > 1


def test_equals_it_for_classes() -> None:
    logits, measured = noisy_models(4, noise=2.0)
    labels = (measured > 0.5).astype(float)
    for metric, mode in (("auroc", "max"), ("average_precision", "max"), ("loss", "min")):
        measure = Measure(metric, mode, "binary", labels)  # type: ignore[arg-type]
        probabilities = 1 / (1 + np.exp(-logits))
        found = select(probabilities, measure, Rules(bags=1, start=1, rounds=6))
        np.testing.assert_allclose(found.weights, step_by_step(probabilities, measure, 6))


def test_nearly_the_best_of_all_ensembles() -> None:
    """Of squared errors greedy selection does not miss the best multiset of four of four models by much."""
    predicted, measured = noisy_models(4, size=50)
    measure = Measure("rmse", "min", "regression", measured)
    every = [
        float(measure.score(predicted[list(models)].mean(axis=0)[None])[0])
        for size in range(1, 5)
        for models in combinations_with_replacement(range(4), size)
    ]
    found = select(predicted, measure, ONCE)
    reached = float(measure.score((found.weights @ predicted)[None])[0])
    assert min(every) <= reached + 1e-12
    assert reached <= min(every) + 0.02 * (max(every) - min(every))


@pytest.mark.parametrize("bags", [1, 20])
def test_weights_are_shares(bags: int) -> None:
    predicted, measured = noisy_models(12)
    found = select(predicted, pearson(measured), Rules(bags=bags))
    assert found.weights.min() >= 0
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert len(found.paths) == bags
    assert {len(path) for path in found.paths} == {30}
    score = float(pearson(measured).score((found.weights @ predicted)[None])[0])
    assert score > pearson(measured).score(predicted).max() + 0.05


@pytest.mark.parametrize("bags", [1, 20])
@pytest.mark.parametrize("start", [1, 5])
def test_duplicates_and_worse_models_raise_nothing(bags: int, start: int) -> None:
    predicted, measured = noisy_models(1, noise=0.3)
    measure, rules = pearson(measured), Rules(bags=bags, start=start)
    alone = float(measure.score(predicted)[0])
    worse = np.vstack([predicted, predicted, -predicted, predicted])
    found = select(worse, measure, rules)
    assert found.weights[0] == pytest.approx(1.0)
    assert float(measure.score((found.weights @ worse)[None])[0]) == pytest.approx(alone, abs=1e-12)


def test_the_score_on_the_way_is_that_of_the_models_taken() -> None:
    predicted, measured = noisy_models(6)
    found = select(predicted, pearson(measured), Rules(bags=1, start=3, rounds=10))
    (path,) = found.paths
    reached = float(pearson(measured).score((found.weights @ predicted)[None])[0])
    assert reached == pytest.approx(max(path), abs=1e-12)
    assert path[0] == pytest.approx(float(pearson(measured).score(predicted).max()), abs=1e-12)


def test_a_start_of_several_models_is_taken_only_where_it_is_better() -> None:
    predicted, measured = noisy_models(6, noise=0.5)
    predicted[1:] = np.random.default_rng(9).normal(size=(5, 200))
    found = select(predicted, pearson(measured), Rules(bags=1, start=5, rounds=5))
    assert found.weights[0] > 0.5


def test_a_model_without_equal_is_in_every_bag() -> None:
    predicted, measured = noisy_models(10, noise=8.0)
    predicted[7] = measured + 0.01 * predicted[7]
    found = select(predicted, pearson(measured), Rules())
    assert found.weights[7] > 0.9


def test_the_seed_decides_the_bags_and_nothing_else() -> None:
    predicted, measured = noisy_models(12, noise=2.0)
    first, again, other = (select(predicted, pearson(measured), Rules(seed=seed)) for seed in (3, 3, 4))
    assert first.weights.tolist() == again.weights.tolist()
    assert first.weights.tolist() != other.weights.tolist()


def test_predictions_that_allow_no_score_are_never_taken() -> None:
    predicted, measured = noisy_models(3)
    predicted[1] = np.nan
    with np.errstate(invalid="ignore"):
        found = select(predicted, pearson(measured), ONCE)
    assert found.weights[1] == 0
