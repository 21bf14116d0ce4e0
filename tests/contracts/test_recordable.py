"""A model that says its training step can be recorded does the same for any batch, in any epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gisearch.models.base import Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.targets import Targets
from tests.contracts.conftest import Variant

# What waits for the device to say something, or to say how much there will be.
WAITING = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "is_nonzero", "repeat_interleave")


class Operations(TorchDispatchMode):
    """Lists the operations that reach the device, with the shapes they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[Any, ...]] = []
        self.waiting: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        numbers = [a if isinstance(a, bool | int | float) else getattr(a, "shape", None) for a in args]
        self.all.append((name, *numbers))
        by_mask = name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1])
        if by_mask or name.startswith(WAITING):
            self.waiting.append(name)
        return func(*args, **(kwargs or {}))


def operations(model: Model, batch: GenotypeBatch, targets: Targets, epoch: int) -> Operations:
    model.start_epoch(epoch)
    torch.manual_seed(0)
    with Operations() as seen:
        model.training_loss(batch, targets).backward()
    model.zero_grad(set_to_none=True)
    model.monitor.check()
    return seen


def test_a_step_that_can_be_recorded_never_waits_and_never_changes(
    variant: Variant, make_model: Callable[..., Model], batch: GenotypeBatch, targets: Targets
) -> None:
    model = make_model(variant).train()
    if not model.is_recordable:
        return
    first = operations(model, batch, targets, epoch=1)
    assert first.all
    assert first.waiting == []
    order = torch.randperm(len(batch))
    assert operations(model, batch[order], targets[order], epoch=9).all == first.all


@pytest.mark.parametrize("change", [{"perturbation": "masked"}, {"encoder.convolution": "gatv2"}])
def test_waiting_would_be_seen(
    change: dict[str, Any], make_model: Callable[..., Model], batch: GenotypeBatch, targets: Targets
) -> None:
    model = make_model(Variant("dango_gi", change)).train()
    assert not model.is_recordable
    assert operations(model, batch, targets, epoch=1).waiting


@pytest.mark.parametrize("change", [{}, {"local_predictor.enabled": False}])
def test_the_main_model_can_be_recorded(change: dict[str, Any], make_model: Callable[..., Model]) -> None:
    assert make_model(Variant("dango_gi", change)).is_recordable
