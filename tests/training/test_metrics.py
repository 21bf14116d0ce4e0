"""Metrics against SciPy, scikit-learn and their definitions, their edge cases, and the objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import r2_score, root_mean_squared_error

from gisearch.data.dataset import Target
from gisearch.errors import ConfigError
from gisearch.training.metrics import calibration, score, score_subgroups
from gisearch.training.objective import METRICS, Objective, ObjectiveConfig

REGRESSION, BINARY = Target("gene_interaction", "regression"), Target("strong_negative", "binary")


def labels_and_predictions(
    *, size: int = 200, spread: float = 1.0, mean: float = 0.0, decimals: int | None = None, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    measured = rng.normal(size=size) * spread + mean
    predicted = measured + rng.normal(size=size) * spread
    if decimals is not None:
        measured, predicted = measured.round(decimals), predicted.round(decimals)
    return torch.tensor(predicted, dtype=torch.float32), torch.tensor(measured, dtype=torch.float32)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spread": 0.05, "mean": 1.0},
        {"spread": 1e-3, "mean": 0.9, "size": 20},
        {"spread": 1e-4, "mean": 100.0},
        {"decimals": 0},
        {"decimals": 0, "size": 150_000, "spread": 0.6},
        {"size": 2},
        {"size": 3, "seed": 1},
    ],
)
def test_regression_metrics_equal_the_references(options: dict[str, Any]) -> None:
    predicted, measured = labels_and_predictions(**options)
    x, y = predicted.double().numpy(), measured.double().numpy()
    found = score("regression", predicted, measured)
    assert set(found) == set(METRICS["regression"]) - {"loss"}
    assert found["pearson"] == pytest.approx(pearsonr(x, y).statistic, abs=1e-6)
    assert found["spearman"] == pytest.approx(spearmanr(x, y).statistic, abs=1e-6)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(y, x), rel=1e-6)
    assert found["r2"] == pytest.approx(r2_score(y, x), abs=1e-6)


@pytest.mark.parametrize("decimals", [None, 1])
def test_binary_metrics_equal_the_references(decimals: int | None) -> None:
    rng = np.random.default_rng(0)
    measured = (rng.random(300) < 0.2).astype(np.float32)
    predicted = 1 / (1 + np.exp(-(measured + rng.normal(size=300) - 1)))
    if decimals is not None:
        predicted = predicted.round(decimals)  # ties
    found = score("binary", torch.tensor(predicted, dtype=torch.float32), torch.tensor(measured))
    assert set(found) == set(METRICS["binary"]) - {"loss"}
    # By their definitions: the share of pairs in order, and the mean precision where a positive is found.
    positive, negative = predicted[measured == 1, None], predicted[None, measured == 0]
    in_order = (positive > negative).mean() + (positive == negative).mean() / 2
    precision = [measured[predicted >= threshold].mean() for threshold in positive[:, 0]]
    assert found["auroc"] == pytest.approx(in_order, abs=1e-6)
    assert found["average_precision"] == pytest.approx(np.mean(precision), abs=1e-6)


def test_constant_predictions_have_learnt_nothing() -> None:
    _, measured = labels_and_predictions()
    found = score("regression", torch.full_like(measured, 0.3), measured)
    assert found["pearson"] == 0.0
    assert found["spearman"] == 0.0
    assert found["r2"] <= 0
    found = score("binary", torch.full((10,), 0.4), torch.tensor([1.0] * 4 + [0.0] * 6))
    assert found["auroc"] == 0.5
    assert found["average_precision"] == pytest.approx(0.4)


@pytest.mark.parametrize("kind", ["regression", "binary"])
@pytest.mark.parametrize("measured", [[1.0], [1.0, 1.0, 1.0]])
def test_what_cannot_be_measured_is_left_out(kind: str, measured: list[float]) -> None:
    predicted = torch.linspace(0.1, 0.9, len(measured))
    assert score(kind, predicted, torch.tensor(measured)) == {}


def test_subgroups_are_scored_by_themselves() -> None:
    predicted, measured = labels_and_predictions(size=60)
    half = torch.arange(60) < 30
    one = torch.arange(60) == 5
    groups = {"val/first": half, "val/single": one, "val/none": torch.zeros(60, dtype=torch.bool)}
    found = score_subgroups("regression", predicted, measured, groups)
    expected = score("regression", predicted[:30], measured[:30])
    assert found == {f"val/first/{name}": value for name, value in expected.items()}


def test_a_subgroup_of_one_class_is_left_out() -> None:
    measured = torch.tensor([0.0, 1.0, 0.0, 0.0])
    groups = {"mixed": torch.tensor([True, True, False, False]), "negative": measured == 0}
    found = score_subgroups("binary", torch.tensor([0.1, 0.8, 0.3, 0.9]), measured, groups)
    assert set(found) == {"mixed/auroc", "mixed/average_precision"}
    assert found["mixed/auroc"] == 1.0


def test_a_true_spread_is_calibrated_and_a_false_one_is_not() -> None:
    rng = np.random.default_rng(0)
    std = torch.tensor(rng.uniform(0.02, 0.1, size=50_000))
    predicted = torch.tensor(rng.normal(size=50_000))
    measured = predicted + std * torch.tensor(rng.normal(size=50_000))
    found = calibration(predicted, std, measured)
    assert found["coverage_50"] == pytest.approx(0.5, abs=0.01)
    assert found["coverage_90"] == pytest.approx(0.9, abs=0.01)
    assert found["mean_std"] == pytest.approx(0.06, abs=1e-3)
    narrow, wide = calibration(predicted, std / 2, measured), calibration(predicted, std * 2, measured)
    assert narrow["coverage_90"] < 0.65
    assert wide["coverage_50"] > 0.75
    # A proper score: the true spread beats both.
    assert found["crps"] < min(narrow["crps"], wide["crps"])


@pytest.mark.parametrize(("mean", "std", "measured"), [(0.2, 0.5, -0.7), (1.0, 0.05, 1.02), (0.0, 2.0, 0.0)])
def test_crps_is_the_integral_that_defines_it(mean: float, std: float, measured: float) -> None:
    from scipy.stats import norm

    grid = np.linspace(mean - 12 * std, mean + 12 * std, 400_001)
    integrand = (norm.cdf(grid, mean, std) - (grid >= measured)) ** 2
    expected = float(integrand.sum() * (grid[1] - grid[0]))
    found = calibration(torch.tensor([mean]), torch.tensor([std]), torch.tensor([measured]))["crps"]
    assert found == pytest.approx(expected, rel=1e-3)


def test_predictions_without_any_spread_score_their_error() -> None:
    found = calibration(torch.tensor([0.0, 1.0]), torch.zeros(2), torch.tensor([0.5, 1.0]))
    assert found["crps"] == pytest.approx(0.25)
    assert found["coverage_90"] == 0.5


@pytest.mark.parametrize(
    ("metric", "target", "expected"),
    [
        ("auto", REGRESSION, Objective("val/pearson", "max")),
        ("auto", BINARY, Objective("val/auroc", "max")),
        ("val/rmse", REGRESSION, Objective("val/rmse", "min")),
        ("val/loss", BINARY, Objective("val/loss", "min")),
        ("val/average_precision", BINARY, Objective("val/average_precision", "max")),
    ],
)
def test_objective_knows_its_direction(metric: str, target: Target, expected: Objective) -> None:
    assert Objective.resolve(ObjectiveConfig(metric=metric), target) == expected
    assert Objective.resolve(ObjectiveConfig(metric=metric, mode=expected.mode), target) == expected


def test_a_cost_does_not_change_which_epoch_is_best() -> None:
    assert Objective.resolve(ObjectiveConfig(), REGRESSION).cost is None
    found = Objective.resolve(ObjectiveConfig(cost="seconds"), REGRESSION)
    assert found == Objective("val/pearson", "max", "seconds")
    assert found.better(0.2, 0.1)
    assert not found.better(0.1, 0.1)


def test_objective_must_exist_for_the_target() -> None:
    message = (
        r"objective\.metric: 'val/auroc' is not measured for the regression target 'gene_interaction'; "
        r"expected one of val/pearson, val/spearman, val/rmse, val/r2, val/loss\."
    )
    with pytest.raises(ConfigError, match=message):
        Objective.resolve(ObjectiveConfig(metric="val/auroc"), REGRESSION)
    with pytest.raises(ConfigError, match=r"Did you mean 'val/pearson'\?"):
        Objective.resolve(ObjectiveConfig(metric="val/persson"), REGRESSION)


def test_objective_cannot_go_the_wrong_way() -> None:
    with pytest.raises(
        ConfigError, match=r"objective\.mode: 'min' contradicts 'val/pearson'; expected 'max'"
    ):
        Objective.resolve(ObjectiveConfig(metric="val/pearson", mode="min"), REGRESSION)


def test_better_is_strict_and_anything_beats_nothing() -> None:
    up, down = Objective("val/r2", "max"), Objective("val/loss", "min")
    assert up.better(-5.0, None)
    assert up.better(0.2, 0.1)
    assert not up.better(0.1, 0.1)
    assert down.better(0.1, 0.2)
    assert not down.better(0.2, 0.2)
