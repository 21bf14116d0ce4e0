"""What the contracts cannot know of a model: ``CASE`` in the file of its name in ``cases/``."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """What the contracts cannot know of a model.

    Attributes:
        base: a small configuration.
        contexts: by option, what else must be set for it to mean anything.
        alternatives: by option, other values, where its type does not tell.
        gradientless: by pattern of a parameter's name, why the scores cannot depend on it.
        stages: by pattern of a parameter's name, the first stage that reads it.
        needs_gradient: False for a model that its own algorithm fits.
        rounds: False for a model without matrix products, which bfloat16 leaves as it is.
        reaches: the score by target that the model must reach on three batches it may learn by heart.
        lr: the learning rate it does so with.
    """

    base: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    alternatives: Mapping[str, list[Any]] = field(default_factory=dict)
    gradientless: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    needs_gradient: bool = True
    rounds: bool = True
    reaches: Mapping[str, float] = field(default_factory=dict)
    lr: float = 3e-3


def case_of(model: str) -> Case:
    """Return ``CASE`` of ``cases/MODEL.py``, or a plain case where there is no such file."""
    if importlib.util.find_spec(f"tests.contracts.cases.{model}") is None:
        return Case()
    case: Case = importlib.import_module(f"tests.contracts.cases.{model}").CASE
    return case
