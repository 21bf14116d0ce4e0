from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from gisearch.answers.importance import Importances, importances, sweep_importances
from gisearch.search.results import SweepResults, TrialRow
from tests.answers.gated import gated_score, gated_space, gated_trials, space_of


def shares(found: Importances | None) -> dict[str, float]:
    assert found is not None
    return {one.path: one.share for one in found.parameters}


def test_an_additive_function_is_divided_by_its_variances() -> None:
    # Variances of a, 2 b and 3 c over their values: 1/4, 4/12 and 9 * 2/3; noise has no part in the score.
    space = space_of(
        {"a": ["x", "y"], "b": {"float": [0, 1]}, "c": {"int": [1, 3]}, "noise": {"float": [0, 1]}}
    )
    generator = np.random.default_rng(0)
    trials = [
        {"a": str(a), "b": float(b), "c": int(c), "noise": float(n)}
        for a, b, c, n in zip(
            generator.choice(["x", "y"], 300),
            generator.random(300),
            generator.integers(1, 4, 300),
            generator.random(300),
            strict=True,
        )
    ]
    values = [(t["a"] == "x") + 2 * t["b"] + 3 * t["c"] for t in trials]
    found = importances(trials, values, space)
    whole = 1 / 4 + 4 / 12 + 6
    expected = {"a": 0.25 / whole, "b": 4 / 12 / whole, "c": 6 / whole, "noise": 0.0}
    assert shares(found) == pytest.approx(expected, abs=0.02)
    assert found is not None
    assert found.parameters[0].path == "c"
    assert found.known > 0.95
    assert found.doubts == ""
    assert all(one.exists == 1.0 and one.within == pytest.approx(one.share) for one in found.parameters)


def test_a_conditional_parameter_counts_where_it_exists() -> None:
    # gate + 2 x + gate * 3 (c - 1/2): variances 1/4 and 1/3, and 3/4 in the half of the space that has c.
    trials = gated_trials(500)
    found = importances(trials, [gated_score(trial) for trial in trials], gated_space())
    whole = 1 / 4 + 1 / 3 + 3 / 8
    expected = {"gate": 0.25 / whole, "x": 1 / 3 / whole, "c": 3 / 8 / whole, "noise": 0.0}
    assert shares(found) == pytest.approx(expected, abs=0.05)
    assert found is not None
    by_path = {one.path: one for one in found.parameters}
    assert by_path["c"].exists == pytest.approx(0.5, abs=0.04)
    assert by_path["c"].within == pytest.approx((3 / 4) / (3 / 4 + 1 / 3), abs=0.06)
    assert sum(shares(found).values()) <= 1.01


def test_a_conditional_parameter_without_effect_has_none_however_much_its_condition_decides() -> None:
    trials = gated_trials(300)
    found = importances(trials, [5.0 * trial["gate"] for trial in trials], gated_space())
    assert shares(found) == pytest.approx({"gate": 1.0, "x": 0.0, "c": 0.0, "noise": 0.0}, abs=0.01)


def test_an_interaction_belongs_to_no_parameter_alone() -> None:
    space = space_of({"a": [0, 1], "b": [0, 1]})
    trials = [{"a": i % 2, "b": i // 2 % 2} for i in range(60)]
    found = importances(trials, [float(t["a"] != t["b"]) for t in trials], space)
    assert shares(found) == pytest.approx({"a": 0.0, "b": 0.0}, abs=0.02)


def test_few_trials_and_noise_are_doubted() -> None:
    trials = gated_trials(60)
    few = importances(trials[:12], [gated_score(trial) for trial in trials[:12]], gated_space())
    assert few is not None
    assert "12 trials are too few" in few.doubts
    noise = np.random.default_rng(3).normal(size=60)
    noisy = importances(trials, list(noise), gated_space())
    assert noisy is not None
    assert "hardly better" in noisy.doubts
    assert importances(trials[:4], [1.0, 2.0, 3.0, 4.0], gated_space()) is None
    assert importances(trials, [1.0] * 60, gated_space()) is None


def test_reused_and_failed_trials_do_not_count(tmp_path: Any) -> None:
    trials = gated_trials(40)
    rows = [TrialRow(i, gated_score(t), "finished", 1, 1.0, t) for i, t in enumerate(trials)]
    more = [
        TrialRow(40, 99.0, "reused", 0, 0.0, trials[0]),
        TrialRow(41, None, "failed", 0, 0.0, trials[1]),
    ]

    def found(rows: list[TrialRow]) -> Importances | None:
        return sweep_importances(SweepResults("s", tmp_path, "m", "max", tuple(rows)), gated_space())

    assert found(rows + more) == found(rows[::-1])
    assert found(rows) is not None


PROGRAM = """
import json
from gisearch.answers.importance import importances
from tests.answers.gated import gated_score, gated_space, gated_trials
trials = gated_trials(40)
found = importances(trials, list(map(gated_score, trials)), gated_space(), seed=0)
print(json.dumps({one.path: one.share for one in found.parameters}))
"""


def test_another_process_finds_the_same() -> None:
    trials = gated_trials(40)
    here = shares(importances(trials, [gated_score(trial) for trial in trials], gated_space(), seed=0))
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == here
    other = importances(trials, [gated_score(trial) for trial in trials], gated_space(), seed=1)
    assert shares(other) != here
