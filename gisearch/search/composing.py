"""The whole configuration, composed from ``conf/``, the typed classes' defaults and overrides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gisearch.composition import compose, defaults_of, quoted_value, text_kept
from gisearch.config import build
from gisearch.data.config import data_nodes
from gisearch.data.derived.config import DerivedConfig
from gisearch.models.registry import MODELS
from gisearch.search.config import ResultsConfig, SearchConfig, SweepConfig
from gisearch.tracking.config import TrackingConfig
from gisearch.training.config import ExperimentConfig, OptimizerConfig, TrainerConfig
from gisearch.training.objective import ObjectiveConfig


def configuration_nodes() -> dict[str, dict[str, Any]]:
    """Return the defaults of every configuration class as Hydra nodes by ``group/name``."""
    nodes = data_nodes()
    nodes |= {f"model/{name}_defaults": defaults_of(cls) for name, cls in MODELS.items()}
    nodes |= {
        f"{section}/default": defaults_of(cls)
        for section, cls in (
            ("optimizer", OptimizerConfig),
            ("trainer", TrainerConfig),
            ("objective", ObjectiveConfig),
            ("derived", DerivedConfig),
            ("search", SearchConfig),
            ("tracking", TrackingConfig),
            ("results", ResultsConfig),
        )
    }
    return nodes


def compose_sweep(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose the whole configuration as plain values.

    Raises:
        ConfigError: an unknown group, option or key, or broken syntax.
    """
    # A model's name without its keys is no model: model.name=dango means model=dango.
    choices = [f"model={o.partition('=')[2]}" if o.startswith("model.name=") else o for o in overrides]
    return compose(text_kept(choices, SweepConfig), configuration_nodes(), "config")


def compose_experiment(overrides: Sequence[str]) -> tuple[ExperimentConfig, SweepConfig]:
    """Compose one experiment, and the whole configuration with its results and tracking sections.

    Raises:
        ConfigError: an unknown key or a value outside its limits.
    """
    sweep = build(SweepConfig, compose_sweep(overrides))
    return sweep.experiment, sweep


def hydra_value(value: Any) -> str:
    """Return a plain value in Hydra's override syntax."""
    if isinstance(value, str):
        return quoted_value(value)
    if isinstance(value, list):
        return f"[{','.join(map(hydra_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{k}:{hydra_value(v)}' for k, v in value.items())}}}"
    return json.dumps(value)
