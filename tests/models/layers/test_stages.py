"""The stage monitor names the first bad stage and waits for the device only when asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gisearch.errors import NonFiniteError
from gisearch.models.layers.stages import StageMonitor

NAN, INFINITY = float("nan"), float("inf")


class Recorder(TorchDispatchMode):
    """Records every operation that reaches the device."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("bad", [NAN, INFINITY, -INFINITY])
def test_names_the_first_stage_in_the_order_of_computation(bad: float) -> None:
    monitor = StageMonitor()
    monitor.watch("first", torch.ones(3))
    monitor.watch("second", torch.tensor([1.0, bad, 2.0]))
    monitor.watch("third", torch.tensor([NAN]))
    with pytest.raises(NonFiniteError, match=r"^stage 'second' produced NaN or infinite values\.$"):
        monitor.check()


def test_names_the_stage_that_was_first_in_time() -> None:
    """A bad value of one training step spoils all stages of the next."""
    monitor = StageMonitor()
    for first, second in [(1.0, 1.0), (1.0, NAN), (NAN, NAN)]:
        monitor.watch("first", torch.tensor(first))
        monitor.watch("second", torch.tensor(second))
    with pytest.raises(NonFiniteError, match="'second'"):
        monitor.check()


def test_remembers_a_bad_value_until_asked_and_then_starts_afresh() -> None:
    monitor = StageMonitor()
    monitor.watch("stage", torch.tensor(NAN))
    monitor.watch("stage", torch.tensor(1.0))
    with pytest.raises(NonFiniteError):
        monitor.check()
    monitor.watch("stage", torch.tensor(1.0))
    monitor.check()
    monitor.check()


@pytest.mark.parametrize("before", [0, 255, 256, 600])
def test_finds_the_first_of_many(before: int) -> None:
    monitor = StageMonitor()
    for _ in range(before):
        monitor.watch("good", torch.ones(2))
    monitor.watch("bad", torch.tensor([NAN]))
    for _ in range(300):
        monitor.watch("spoilt", torch.tensor([NAN]))
    with pytest.raises(NonFiniteError, match="'bad'"):
        monitor.check()
    monitor.watch("good", torch.ones(2))
    monitor.check()


def test_sums_that_were_taken_can_be_watched_elsewhere() -> None:
    """What recording a step does: its sums are looked at again after every replay."""
    recording, monitor = StageMonitor(), StageMonitor()
    recording.watch("first", torch.ones(2))
    recording.watch("second", torch.tensor([NAN, 1.0]))
    stages, sums = recording.take()
    assert stages == ("first", "second")
    recording.check()
    monitor.watch("earlier", torch.ones(2))
    monitor.watch_sums(stages, torch.ones(2))
    monitor.watch_sums(stages, sums)
    with pytest.raises(NonFiniteError, match="'second'"):
        monitor.check()


def test_infinities_of_both_signs_do_not_cancel() -> None:
    monitor = StageMonitor()
    monitor.watch("stage", torch.tensor([INFINITY, -INFINITY]))
    with pytest.raises(NonFiniteError):
        monitor.check()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_large_finite_values_are_finite(dtype: torch.dtype) -> None:
    monitor = StageMonitor()
    monitor.watch("stage", torch.full((100, 100), 1e30, dtype=dtype))
    monitor.check()


def test_returns_the_value_itself_and_leaves_its_gradient_alone() -> None:
    value = torch.ones(3, requires_grad=True) * 2
    assert StageMonitor().watch("stage", value) is value


def test_watching_never_waits_for_the_device() -> None:
    monitor = StageMonitor()
    with Recorder() as recorder:
        for _ in range(2):
            monitor.watch("stage", torch.ones(3, requires_grad=True))
    # What .item(), .tolist(), bool() and copies to the CPU are made of.
    waiting = [op for op in recorder.operations if "local_scalar" in op or "_to_copy" in op or "copy_" in op]
    assert recorder.operations
    assert waiting == []
    with Recorder() as recorder:
        _ = torch.ones(1).item()
    assert any("local_scalar" in op for op in recorder.operations), "the recorder would have seen it"


def test_flags_of_an_evaluation_and_of_training_mix() -> None:
    monitor = StageMonitor()
    monitor.watch("stage", torch.ones(3))
    with torch.inference_mode():
        monitor.watch("stage", torch.ones(3))
    monitor.watch("stage", torch.ones(3, requires_grad=True))
    monitor.check()
