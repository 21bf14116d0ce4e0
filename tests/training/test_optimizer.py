"""The learning-rate schedule, and which parameters decay."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gisearch.models.layers.mlp import NetworkLinear, NetworkNorm
from gisearch.training.config import OptimizerConfig

STEPS = 100


def factors(steps: int = STEPS, **options: object) -> list[float]:
    config = OptimizerConfig(**options)  # type: ignore[arg-type]
    return [config.factor(step, steps) for step in range(steps + 1)]


def test_warms_up_linearly_to_the_peak_and_never_starts_at_zero() -> None:
    found = factors(warmup=0.1, schedule="constant")
    assert found[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert found[10:] == [1.0] * 91


def test_decays_as_a_cosine() -> None:
    found = factors(warmup=0.2, final_lr_ratio=0.1)
    after = found[20:]
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * i / 80)) / 2 for i in range(81)]
    assert after == pytest.approx(expected)
    assert after[0] == 1.0
    assert after[-1] == pytest.approx(0.1)


def test_restarts_at_the_peak_in_every_cycle() -> None:
    found = factors(warmup=0.0, cycles=4, final_lr_ratio=0.0)
    peaks = [step for step in range(STEPS) if found[step] == pytest.approx(1.0)]
    assert peaks == [0, 25, 50, 75]
    assert found[25:50] == pytest.approx(found[:25])
    assert found[24] < 0.01
    assert found[-1] == pytest.approx(0.0)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate(steps: int) -> None:
    for warmup in (0.0, 0.05, 0.9):
        assert all(0 < factor <= 1 for factor in factors(steps, warmup=warmup))


def test_steps_beyond_the_plan_keep_the_final_rate() -> None:
    assert OptimizerConfig(final_lr_ratio=0.2).factor(1000, STEPS) == pytest.approx(0.2)


def test_the_optimizer_follows_the_schedule() -> None:
    config = OptimizerConfig(lr=0.5, warmup=0.1, cycles=2)
    optimizer, schedule = config.build(nn.Linear(2, 2), STEPS)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(0.5 * config.factor(step, STEPS))
        optimizer.step()
        schedule.step()


def test_takes_every_option() -> None:
    config = OptimizerConfig(beta1=0.7, beta2=0.8, weight_decay=0.3)
    optimizer, _ = config.build(nn.Linear(2, 2), STEPS)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert all(group["betas"] == (0.7, 0.8) for group in optimizer.param_groups)


def test_only_weight_matrices_decay() -> None:
    """Biases and norms do not, in a stack of networks either."""
    model = nn.ModuleDict(
        {"plain": nn.Linear(3, 1), "norm": nn.LayerNorm(3), "stack": NetworkLinear(2, 3, 4)}
    )
    model["stack_norm"] = NetworkNorm(2, 4)
    model.register_parameter("gain", nn.Parameter(torch.ones(2, 1, 1)))
    frozen = nn.Linear(3, 3).requires_grad_(False)
    model["frozen"] = frozen
    optimizer, _ = OptimizerConfig(weight_decay=0.1).build(model, STEPS)
    decayed, others = optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert sorted(names[id(p)] for p in decayed["params"]) == ["plain.weight", "stack.weight"]
    assert sorted(names[id(p)] for p in others["params"]) == [
        "gain",
        "norm.bias",
        "norm.weight",
        "plain.bias",
        "stack.bias",
        "stack_norm.scale",
        "stack_norm.shift",
    ]
