"""Noising, parameterisations and the loss, against definitions and against brute force."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from gisearch.models.diffusion.config import ParameterisationName, ProcessConfig
from gisearch.models.diffusion.process import DiffusionProcess

PARAMETERISATIONS: tuple[ParameterisationName, ...] = get_args(ParameterisationName)


def make(**options: Any) -> DiffusionProcess:
    return DiffusionProcess(ProcessConfig(**{"steps": 50, "bandwidth": 0.0, **options}))


def test_signal_and_noise_share_the_variance() -> None:
    process = make(steps=1000)
    torch.testing.assert_close(process.signal.square() + process.noise.square(), torch.ones(1001))
    assert process.signal[0] == 1
    assert process.noise[0] == 0
    assert not process.state_dict(), "a schedule is no weight"


def test_without_a_bandwidth_noising_is_the_textbook_formula() -> None:
    process, step = make(), torch.tensor([1, 25, 50])
    label, noise = torch.tensor([0.3, -2.0, 1.0]), torch.tensor([0.5, 1.5, -1.0])
    x, clean = process.noised(label, noise, step)
    torch.testing.assert_close(x, process.signal[step] * label + process.noise[step] * noise)
    assert torch.equal(clean, label)


@pytest.mark.parametrize("step", [1, 20, 45])
def test_the_bandwidth_equals_labels_drawn_around_the_measured_one(step: int) -> None:
    """x_t has the distribution of noised draws, and the target is the regression of those draws on x_t."""
    torch.manual_seed(0)
    process, at = make(bandwidth=0.5), torch.tensor(step)
    drawn = 0.8 + 0.5 * torch.randn(400_000)
    brute = process.signal[at] * drawn + process.noise[at] * torch.randn(400_000)
    x, clean = process.noised(torch.tensor(0.8), torch.randn(400_000), at)
    assert x.mean().item() == pytest.approx(brute.mean().item(), abs=5e-3)
    assert x.std().item() == pytest.approx(brute.std().item(), rel=1e-2)
    slope = torch.cov(torch.stack([drawn, brute]))[0, 1] / brute.var()
    torch.testing.assert_close(
        clean, drawn.mean() + slope * (x - brute.mean()), atol=0.02, rtol=0.0, msg="not the posterior mean"
    )


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("bandwidth", [0.0, 0.4])
def test_the_loss_is_zero_for_the_right_output_and_its_definition_otherwise(
    parameterisation: ParameterisationName, bandwidth: float
) -> None:
    torch.manual_seed(0)
    process = make(parameterisation=parameterisation, bandwidth=bandwidth).double()
    step = torch.randint(1, 51, (64, 2))
    label, noise = torch.randn(2, 64, 2, dtype=torch.float64)
    x, clean = process.noised(label, noise, step)
    a, b = process.signal[step], process.noise[step]
    velocity = (a * x - clean) / b
    right = clean - a * x if parameterisation == "x0" else velocity
    torch.testing.assert_close(process.clean_from(right, x, step), clean)
    assert process.loss(right, clean, x, step) < 1e-20

    output = torch.randn_like(x)
    found = process.clean_from(output, x, step)
    eps, found_eps = (x - a * clean) / b, (x - a * found) / b
    expected = {
        "x0": (found - clean).square().mean(),
        "epsilon": (found_eps - eps).square().mean(),
        "v": ((a * found_eps - b * found) - (a * eps - b * clean)).square().mean(),
    }
    torch.testing.assert_close(process.loss(output, clean, x, step), expected[parameterisation])


def test_epsilon_is_the_noise_and_v_the_velocity() -> None:
    step, label, noise = torch.tensor([7, 30]), torch.tensor([0.5, -1.0]), torch.tensor([1.2, 0.4])
    process = make()
    x, _ = process.noised(label, noise, step)
    a, b = process.signal[step], process.noise[step]

    def loss_without_noise(name: ParameterisationName, clean: Tensor) -> Tensor:
        process = make(parameterisation=name)
        output = (a * x - clean) / b
        return process.loss(output, label, x, step)

    wrong = label + 0.1
    torch.testing.assert_close(loss_without_noise("epsilon", wrong), (0.1 * a / b).square().mean())
    torch.testing.assert_close(loss_without_noise("v", wrong), (0.1 / b).square().mean())


@pytest.mark.parametrize(("batch", "draws", "steps"), [(28, 4, 50), (1, 1, 2), (7, 3, 1000), (256, 4, 200)])
def test_steps_are_stratified(batch: int, draws: int, steps: int) -> None:
    torch.manual_seed(0)
    step = make(steps=steps, draws=draws).draw_steps(batch)
    assert step.shape == (batch, draws)
    assert step.min() >= 1
    assert step.max() <= steps
    # One draw in each of B * D equal parts of the range ...
    part = ((step.flatten().sort().values - 1).double() / steps * batch * draws).floor()
    assert (part - torch.arange(batch * draws)).abs().max() <= batch * draws / steps + 1
    # ... and a genotype's draws in different D-ths of it.
    assert (step.diff(dim=1).abs() >= steps // draws - 1).all()


def test_every_step_is_drawn_equally_often() -> None:
    torch.manual_seed(0)
    process = make(steps=10, draws=3)
    counts = torch.bincount(torch.cat([process.draw_steps(5).flatten() for _ in range(2000)]), minlength=11)
    assert counts[0] == 0
    assert (counts[1:] / counts.sum() - 0.1).abs().max() < 0.01


def test_more_draws_make_the_loss_vary_less() -> None:
    def spread(draws: int) -> float:
        process = make(draws=draws)
        losses = []
        for seed in range(200):
            torch.manual_seed(seed)
            step = process.draw_steps(8)
            x, clean = process.noised(torch.ones(8, 1), torch.randn(8, draws), step)
            losses.append(process.loss(torch.zeros_like(x), clean, x, step))
        return torch.stack(losses).std().item()

    assert spread(16) < 0.5 * spread(1)
