"""Every model is found by the name that its configuration carries."""

from __future__ import annotations

from typing import get_args

import pytest

from gisearch.composition import group_options
from gisearch.config import build
from gisearch.errors import ConfigError
from gisearch.models.registry import MODELS, ModelConfig


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_is_built_by_its_name(name: str) -> None:
    config = build(ModelConfig, {"name": name})
    assert type(config) is MODELS[name]
    assert config.name == name


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"^model\.name: unknown value 'bilinaer'; .* Did you mean 'bilinear'\?$"
    ):
        build(ModelConfig, {"name": "bilinaer"}, "model")


def test_the_union_and_the_table_name_the_same_models() -> None:
    union = get_args(get_args(ModelConfig)[0])
    assert set(union) == set(MODELS.values())
    assert len(union) == len(MODELS)


def test_every_model_has_a_preset() -> None:
    assert set(MODELS) <= set(group_options("model", {}))
