"""Every model is found by the name that its configuration carries."""

from __future__ import annotations

import pytest

from gisearch.composition import group_options
from gisearch.config import build
from gisearch.models.registry import MODELS, ModelConfig


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_is_built_by_its_name(name: str) -> None:
    config = build(ModelConfig, {"name": name})
    assert type(config) is MODELS[name]
    assert config.name == name


def test_every_model_has_a_preset() -> None:
    assert set(MODELS) <= set(group_options("model", {}))
