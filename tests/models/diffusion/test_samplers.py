"""Samplers with an exact denoiser, whose distribution is known."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from gisearch.models.diffusion.config import ProcessConfig, SamplerConfig, ScheduleName
from gisearch.models.diffusion.process import DiffusionProcess
from gisearch.models.diffusion.samplers import Sampler, normal_quantiles, plan_moves, sampling_steps
from tests.models.diffusion.test_process import PARAMETERISATIONS
from tests.models.diffusion.test_schedules import SCHEDULES

MEAN = torch.tensor([[0.7], [-1.5], [0.0], [3.0]], dtype=torch.float64)
STD = torch.tensor([[0.5], [0.3], [1.0], [0.2]], dtype=torch.float64)


def gaussian_samples(process_options: dict[str, Any], **sampler_options: Any) -> Tensor:
    """Sample four known Gaussians with the denoiser that is exact for them."""
    process = DiffusionProcess(ProcessConfig(**process_options)).double()
    sampler = Sampler(SamplerConfig(**{"samples": 64, **sampler_options}), process).double()

    def denoise(x: Tensor, step: int) -> Tensor:
        a, b = process.signal[step], process.noise[step]
        clean = MEAN + a * STD**2 / (a**2 * STD**2 + b**2) * (x - a * MEAN)
        return clean - a * x if process.config.parameterisation == "x0" else (a * x - clean) / b

    samples: Tensor = sampler(denoise, len(MEAN))
    return samples


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize(
    ("method", "eta", "tolerance"),
    [("dpm", 0.0, 0.02), ("ddim", 0.0, 0.03), ("ddim", 0.5, 0.12), ("ddpm", 0.0, 0.12)],
)
def test_samplers_recover_a_known_gaussian(
    schedule: ScheduleName, parameterisation: str, method: str, eta: float, tolerance: float
) -> None:
    process = {"schedule": schedule, "parameterisation": parameterisation, "steps": 400}
    steps = 40 if method == "dpm" else 200
    samples = gaussian_samples(process, method=method, eta=eta, steps=steps)
    torch.testing.assert_close(samples.mean(1, keepdim=True), MEAN, atol=0.03, rtol=0.0)
    torch.testing.assert_close(samples.std(1, correction=0, keepdim=True), STD, atol=0.0, rtol=tolerance)


def test_the_default_sampler_is_within_a_few_percent_with_its_few_steps() -> None:
    def error(**options: Any) -> float:
        samples = gaussian_samples({}, **options)
        return (samples.std(1, correction=0, keepdim=True) / STD - 1).abs().max().item()

    assert error() < 0.07
    assert error() < 0.5 * error(method="ddim"), "the second order pays"


def test_ddim_with_all_of_the_noise_is_ddpm() -> None:
    one = gaussian_samples({"steps": 50}, method="ddim", eta=1.0, steps=20)
    assert torch.equal(one, gaussian_samples({"steps": 50}, method="ddpm", steps=20))
    assert not torch.equal(one, gaussian_samples({"steps": 50}, method="ddim", eta=0.0, steps=20))


@pytest.mark.parametrize("steps", [7, 50])
def test_a_move_of_ddpm_is_the_posterior_of_the_process(steps: int) -> None:
    """Mean and variance of q(x_s | x_t, x_0): equations 6 and 7 of Ho et al. 2020."""
    process = DiffusionProcess(ProcessConfig(steps=50))
    x, clean = 0.4, -1.3
    for move in plan_moves(SamplerConfig(method="ddpm", steps=steps), process)[:-1]:
        alpha = (move.signal / move.next_signal) ** 2
        mean = (
            move.next_signal * (1 - alpha) / move.noise**2 * clean
            + alpha**0.5 * move.next_noise**2 / move.noise**2 * x
        )
        kept = (move.next_noise**2 - move.spread**2) ** 0.5
        direction = (x - move.signal * clean) / move.noise
        assert move.next_signal * clean + kept * direction == pytest.approx(mean, abs=1e-7)
        assert move.spread**2 == pytest.approx((1 - alpha) * move.next_noise**2 / move.noise**2)


@pytest.mark.parametrize(("total", "count"), [(200, 6), (10, 10), (50, 49), (1000, 20), (2, 1), (4000, 4000)])
def test_sampling_steps_fall_from_the_last_to_zero_without_repeating(total: int, count: int) -> None:
    steps = sampling_steps(total, count)
    assert len(steps) == count + 1
    assert steps[0] == total
    assert steps[-1] == 0
    assert all(a > b for a, b in pairwise(steps))


@pytest.mark.parametrize("count", [2, 5, 16, 1000])
def test_quantiles_are_a_standard_normal(count: int) -> None:
    values = normal_quantiles(count)
    assert values.mean().abs() < 1e-12
    assert values.square().mean().item() == pytest.approx(1.0)
    assert (values.diff() > 0).all()


def test_fresh_noise_is_neither_the_initial_noise_nor_that_of_another_step() -> None:
    process = DiffusionProcess(ProcessConfig())
    sampler = Sampler(SamplerConfig(method="ddpm", steps=20, samples=256), process)
    correlations = torch.corrcoef(torch.cat([sampler.initial.unsqueeze(0), sampler.fresh]))
    assert (correlations - torch.eye(21)).abs().max() < 0.3
    torch.testing.assert_close(sampler.fresh.sort(dim=1).values, sampler.initial.expand(20, -1))


def test_sampling_repeats_itself_whatever_the_global_generator() -> None:
    torch.manual_seed(1)
    one = gaussian_samples({"steps": 50}, method="ddpm", steps=10)
    torch.manual_seed(2)
    assert torch.equal(one, gaussian_samples({"steps": 50}, method="ddpm", steps=10))
