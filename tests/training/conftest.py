"""A small experiment that trains in well under a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gisearch.config import assign, build, to_plain
from gisearch.data.config import compose_data
from gisearch.training.config import ExperimentConfig

SMALL: dict[str, Any] = {
    "model": {"name": "dango_gi", "hidden_dim": 8, "encoder": {"num_layers": 1, "dropout": 0.2}},
    "optimizer": {"lr": 0.01},
    "trainer": {"max_epochs": 4, "batch_size": 40, "device": "cpu"},
    "seed": 0,
}

Experiment = Callable[..., ExperimentConfig]


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    """Return the small experiment with changes: ``experiment({"seed": 2}, "data.target=fitness")``."""

    def make(changes: dict[str, Any] | None = None, *data: str) -> ExperimentConfig:
        values = {"data": to_plain(compose_data(["data=demo_tiny", *data])), **SMALL}
        return build(ExperimentConfig, assign(values, changes or {}))

    return make
