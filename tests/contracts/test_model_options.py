"""Every option of every model changes the model: a search over one that does not would be a waste."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gisearch.models.base import FittedModel, Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.targets import Targets

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


def losses(model: Model, batch: GenotypeBatch, targets: Targets) -> Tensor:
    """The training loss in some epochs, in which schedules between losses stand at different points."""
    values = []
    for epoch in (1, 3, 5, 9):
        torch.manual_seed(0)
        model.start_epoch(epoch)
        values.append(model.training_loss(batch, targets))
    return torch.stack(values)


def has_effect(option: Any, make_model: MakeModel, batch: GenotypeBatch, targets: Targets) -> bool:
    """Whether the option changes the parameters' shapes, or what the same parameters score or cost."""
    reference, changed = make_model(option.reference), make_model(option.changed)
    if isinstance(reference, FittedModel):
        # Its options shape what the algorithm finds, and not what one does with given numbers.
        one, other = reference(batch), changed(batch)
        if (one.std is None) != (other.std is None):
            return True
        by_std = one.std is not None and other.std is not None and differ(one.std, other.std)
        return differ(one.score, other.score) or by_std
    if shapes(reference) != shapes(changed):
        return True
    outputs = []
    for model in (reference, changed):
        fill(model)
        with torch.no_grad():
            evaluated = model.eval()(batch).score
            torch.manual_seed(0)
            trained = model.train()(batch).score
            outputs.append((evaluated, trained, losses(model, batch, targets)))
    (evaluated, trained, loss), (other_evaluated, other_trained, other_loss) = outputs
    learns_otherwise = bool(((loss - other_loss).abs() > 1e-4 * loss.abs()).any())
    if option.path.endswith("dropout"):
        assert torch.equal(evaluated, other_evaluated), "dropout must not act on an evaluation"
        return differ(trained, other_trained) or learns_otherwise
    return differ(evaluated, other_evaluated) or differ(trained, other_trained) or learns_otherwise


def test_has_an_effect(option: Any, make_model: MakeModel, batch: GenotypeBatch, targets: Targets) -> None:
    assert has_effect(option, make_model, batch, targets)


def test_adds_no_parameter_that_nothing_reads(
    option: Any, unread_parameters: Callable[[Any], list[str]]
) -> None:
    assert unread_parameters(option.changed) == []


def test_an_option_without_effect_is_noticed(
    all_options: list[Any], make_model: MakeModel, batch: GenotypeBatch, targets: Targets
) -> None:
    """The bottleneck means nothing without pairwise interactions: these contracts would say so."""
    (bottleneck,) = [o for o in all_options if str(o).startswith("dango_gi:encoder.bottleneck=")]
    without = dataclasses.replace(bottleneck.reference, changes={"encoder.graph_aggregation": "mean"})
    assert has_effect(bottleneck, make_model, batch, targets)
    assert not has_effect(dataclasses.replace(bottleneck, reference=without), make_model, batch, targets)
