"""A function with a known variance decomposition, for the tests of importance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gisearch.errors import ConfigError
from gisearch.search.compilation import compile_space
from gisearch.search.space import SearchSpace

# The space and the base configuration: c exists where the gate is open.
GATED: tuple[dict[str, Any], dict[str, Any]] = (
    {
        "gate": [True, False],
        "x": {"float": [0, 1]},
        "c": {"float": [0, 1], "when": {"gate": True}},
        "noise": {"float": [0, 1]},
    },
    {"gate": True, "x": 0.5, "c": 0.5, "noise": 0.5},
)


def gated_trials(count: int) -> list[dict[str, Any]]:
    """Return configurations drawn from the space."""
    generator = np.random.default_rng(1)
    trials = []
    for i in range(count):
        x, c, noise = (float(v) for v in generator.random(3))
        gate = i % 2 == 0
        trials.append({"gate": gate, "x": x, "noise": noise, **({"c": c} if gate else {})})
    return trials


def gated_score(trial: Mapping[str, Any]) -> float:
    """Return gate + 2 x + gate * 3 (c - 1/2)."""
    return float(trial["gate"]) + 2 * trial["x"] + (3 * (trial["c"] - 0.5) if trial["gate"] else 0.0)


def space_of(spec: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> SearchSpace:
    """Compile a space."""

    def fail(key: str, message: str) -> ConfigError:
        return ConfigError(f"{key}: {message}")

    return compile_space(spec, base or dict.fromkeys(spec, 0), fail)[0]


def gated_space() -> SearchSpace:
    """Return the space of the function with a gate."""
    return space_of(*GATED)
