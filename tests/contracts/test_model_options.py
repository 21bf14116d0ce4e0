"""Every option of every model changes the model: a search over one that does not would be a waste."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gisearch.models.base import Model
from gisearch.models.batch import GenotypeBatch

MakeModel = Callable[[Any], Model]


def fill(model: Model) -> None:
    """Give every parameter weights that depend on its name alone, large enough for every path to matter."""
    for name, parameter in model.named_parameters():
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")
        generator = torch.Generator().manual_seed(seed)
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3


def shapes(model: Model) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in model.named_parameters()}


def differ(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() > 1e-3 * one.std())


def has_effect(option: Any, make_model: MakeModel, batch: GenotypeBatch) -> bool:
    """Whether the option changes the parameters' shapes, or the scores that the same parameters give."""
    reference, changed = make_model(option.reference), make_model(option.changed)
    if shapes(reference) != shapes(changed):
        return True
    outputs = []
    for model in (reference, changed):
        fill(model)
        with torch.no_grad():
            evaluated = model.eval()(batch).score
            torch.manual_seed(0)
            outputs.append((evaluated, model.train()(batch).score))
    (evaluated, trained), (other_evaluated, other_trained) = outputs
    if option.path.endswith("dropout"):
        assert torch.equal(evaluated, other_evaluated), "dropout must not act on an evaluation"
        return differ(trained, other_trained)
    return differ(evaluated, other_evaluated) or differ(trained, other_trained)


def test_has_an_effect(option: Any, make_model: MakeModel, batch: GenotypeBatch) -> None:
    assert has_effect(option, make_model, batch)


def test_adds_no_parameter_that_nothing_reads(
    option: Any, unread_parameters: Callable[[Any], list[str]]
) -> None:
    assert unread_parameters(option.changed) == []


def test_an_option_without_effect_is_noticed(
    all_options: list[Any], make_model: MakeModel, batch: GenotypeBatch
) -> None:
    """The bottleneck means nothing without pairwise interactions: these contracts would say so."""
    (bottleneck,) = [o for o in all_options if str(o).startswith("dango_gi:encoder.bottleneck=")]
    without = dataclasses.replace(bottleneck.reference, changes={"encoder.graph_aggregation": "mean"})
    assert has_effect(bottleneck, make_model, batch)
    assert not has_effect(dataclasses.replace(bottleneck, reference=without), make_model, batch)
