from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gisearch.answers.evidence import Evidence, ScoredPart, expansion
from gisearch.answers.weighted_metrics import weighted_metric
from gisearch.errors import ConfigError
from gisearch.training.metrics import score
from gisearch.training.objective import METRICS


def labels_and_predictions(kind: str, size: int = 200) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    measured = rng.normal(1.0, 0.02, size)
    # Rounded, so that some are equal.
    predicted = np.round(0.5 * measured + rng.normal(0.5, 0.01, (3, size)), 3)
    if kind == "binary":
        measured = (measured > 1.01).astype(float)
        predicted = np.round(1 / (1 + np.exp(-40 * (predicted - 1))), 2)
    # As the project keeps them; sums differ by rounding otherwise.
    return measured.astype(np.float32).astype(float), predicted.astype(np.float32).astype(float)


CASES = [(kind, metric) for kind, metrics in METRICS.items() for metric in metrics]


class TestMetrics:
    @pytest.mark.parametrize(("kind", "metric"), CASES)
    def test_weights_of_one_give_the_projects_metric(self, kind: str, metric: str) -> None:
        measured, predicted = labels_and_predictions(kind)
        found = weighted_metric(metric, kind, predicted, measured, np.ones((1, len(measured))), 0.5)[0]
        for one, value in zip(predicted, found, strict=True):
            labels, scores = torch.tensor(measured, dtype=torch.float32), torch.tensor(one).float()
            if metric != "loss":
                expected = score(kind, scores, labels)[metric]
            elif kind == "binary":
                expected = float(torch.nn.functional.binary_cross_entropy(scores, labels))
            else:
                expected = float((scores - labels).square().mean()) / 0.25
            assert value == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(("kind", "metric"), CASES)
    def test_a_weight_of_three_is_three_copies(self, kind: str, metric: str) -> None:
        measured, predicted = labels_and_predictions(kind, 60)
        weights = np.random.default_rng(1).integers(0, 4, (5, 60)).astype(float)
        found = weighted_metric(metric, kind, predicted, measured, weights)
        for b, weight in enumerate(weights):
            rows = np.repeat(np.arange(60), weight.astype(int))
            copied = weighted_metric(
                metric, kind, predicted[:, rows], measured[rows], np.ones((1, len(rows)))
            )
            assert found[b] == pytest.approx(copied[0], rel=1e-9)

    def test_what_cannot_be_measured(self) -> None:
        measured, weights = np.array([0.0, 1.0, 1.0]), np.array([[1.0, 1, 1], [0, 2, 1]])
        for metric in ("auroc", "average_precision"):
            found = weighted_metric(metric, "binary", np.array([[0.1, 0.8, 0.9]]), measured, weights)
            assert found[0, 0] == pytest.approx(1.0)
            assert np.isnan(found[1, 0])
        for metric in ("pearson", "spearman"):
            constant = weighted_metric(metric, "regression", np.ones((1, 3)), measured, weights)
            assert constant[0, 0] == 0.0
            assert np.isnan(constant[1, 0])
        with pytest.raises(ConfigError, match=r"^unknown metric 'person'\. Did you mean 'pearson'\?$"):
            weighted_metric("person", "regression", np.ones((1, 3)), measured, weights)


def correlated(rng: np.random.Generator, y: Any, rhos: Any) -> dict[int, Any]:
    """Runs whose expected correlation with y is their rho."""
    return {i: r * y + math.sqrt(1 - r * r) * rng.normal(size=len(y)) for i, r in enumerate(rhos)}


class TestIntervals:
    def test_mean_and_spread_by_hand(self) -> None:
        y = np.array([1.0, -1, 1, -1])
        runs = {7: y, 9: np.array([1.0, -1, -1, 1]), 8: -y}
        evidence = Evidence([ScoredPart(y, {"a": runs})], "pearson", "regression", resamples=50)
        assert evidence.scores("a") == pytest.approx({7: 1.0, 8: -1.0, 9: 0.0}, abs=1e-9)
        found = evidence.interval("a")
        assert found is not None
        assert (found.mean, found.std, found.n) == (pytest.approx(0.0, abs=1e-9), pytest.approx(1.0), 3)
        assert found.low < 0 < found.high
        assert evidence.interval("b") is None

    def test_the_expansion_by_hand(self) -> None:
        # Student's 0.975 quantile with 4 degrees of freedom is 2.7764, the Gaussian's 1.9600.
        assert expansion(5) == pytest.approx(math.sqrt(5 / 4) * 2.7764 / 1.9600, rel=1e-3)
        assert expansion(1) == 1.0
        assert expansion(2) > expansion(3) > expansion(30) > 1.0

    def test_differences_pair_seeds(self) -> None:
        rng = np.random.default_rng(0)
        y = rng.normal(size=300)
        luck = rng.normal(0, 0.1, 4)
        a = correlated(np.random.default_rng(5), y, 0.5 + luck)
        # The same noise, 0.05 better for every seed; the seed that only b has does not count.
        b = correlated(np.random.default_rng(5), y, [*(0.55 + luck), 0.9])
        evidence = Evidence([ScoredPart(y, {"a": a, "b": b})], "pearson", "regression", seed=1)
        found, alone = evidence.difference("b", "a"), evidence.interval("a")
        assert found is not None
        assert alone is not None
        assert found.n == 4
        assert 0.02 < found.low < found.mean < found.high < 0.09
        # Paired, what seeds and genotypes do to both cancels.
        assert found.high - found.low < 0.3 * (alone.high - alone.low)

    def test_the_same_seed_gives_the_same_interval(self) -> None:
        rng = np.random.default_rng(0)
        y = rng.normal(size=50)
        part = ScoredPart(y, {"a": correlated(rng, y, [0.4, 0.5, 0.6])})
        found = [
            Evidence([part], "spearman", "regression", seed=s, resamples=200).interval("a") for s in (0, 0, 1)
        ]
        assert found[0] == found[1] != found[2]

    def test_one_run_has_an_interval_over_genotypes(self) -> None:
        rng = np.random.default_rng(0)
        y = rng.normal(size=400)
        found = Evidence([ScoredPart(y, {"a": correlated(rng, y, [0.6])})], "pearson", "regression").interval(
            "a"
        )
        assert found is not None
        # Fisher: the standard error of a correlation is about (1 - r^2) / sqrt(n).
        width = 2 * 1.96 * (1 - found.mean**2) / math.sqrt(400)
        assert found.high - found.low == pytest.approx(width, rel=0.15)
        assert (found.std, found.n) == (0.0, 1)

    def test_splits_that_disagree_widen_the_interval(self) -> None:
        rng = np.random.default_rng(0)
        ys = [rng.normal(size=300) for _ in range(3)]

        def width(levels: list[float]) -> float:
            parts = [
                ScoredPart(y, {"a": correlated(rng, y, [r] * 3)}) for y, r in zip(ys, levels, strict=True)
            ]
            found = Evidence(parts, "pearson", "regression").interval("a")
            assert found is not None
            assert found.n == 9
            assert found.mean == pytest.approx(np.mean(levels), abs=0.05)
            return found.high - found.low

        assert width([0.3, 0.5, 0.7]) > 2 * width([0.5, 0.5, 0.5])

    @pytest.mark.parametrize(
        ("runs", "spread", "size"), [(3, 0.08, 150), (5, 0.08, 150), (5, 0.0, 150), (5, 0.1, 3000)]
    )
    def test_coverage_of_simulated_experiments(self, runs: int, spread: float, size: int) -> None:
        """Nominally 95 % of the intervals hold the truth, however the spread is divided."""
        rng, covered, paired, trials = np.random.default_rng(runs), 0, 0, 200 if size < 1000 else 60
        for i in range(trials):
            y = rng.normal(size=size)
            a = correlated(rng, y, np.clip(rng.normal(0.5, spread, runs), -0.95, 0.95))
            b = correlated(rng, y, np.clip(rng.normal(0.6, spread, runs), -0.95, 0.95))
            part = ScoredPart(y, {"a": a, "b": b})
            evidence = Evidence([part], "pearson", "regression", seed=i, resamples=300)
            own, difference = evidence.interval("a"), evidence.difference("b", "a")
            assert own is not None
            assert difference is not None
            covered += own.low <= 0.5 <= own.high
            paired += difference.low <= 0.1 <= difference.high
        assert covered / trials >= 0.9
        assert paired / trials >= 0.9
