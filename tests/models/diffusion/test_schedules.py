"""Noise schedules against their formulas."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from gisearch.models.diffusion.config import ScheduleName
from gisearch.models.diffusion.schedules import alpha_bars, betas

SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [50, 200, 1000, 4000])
def test_signal_falls_from_all_to_almost_nothing(name: ScheduleName, steps: int) -> None:
    kept = alpha_bars(name, steps)
    assert kept.shape == (steps + 1,)
    assert kept[0] == 1
    assert kept[1] > 0.98
    assert (kept.diff() < 0).all()
    assert 0 < kept[-1] < 5e-3


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [2, 3, 10])
def test_a_few_steps_are_a_process_too(name: ScheduleName, steps: int) -> None:
    added = betas(name, steps)
    assert added.shape == (steps,)
    assert ((added > 0) & (added < 1)).all()
    assert alpha_bars(name, steps)[-1] < 0.01


def test_cosine_is_the_published_formula() -> None:
    kept = alpha_bars("cosine", 1000)
    zero = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    for step in (1, 10, 500, 900, 999):
        expected = math.cos((step / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 / zero
        assert kept[step].item() == pytest.approx(expected, rel=1e-9), step
    # The last step would leave nothing at all; the paper bounds what it may take.
    assert (kept[1000] / kept[999]).item() == pytest.approx(1e-3)


def test_linear_is_the_published_one_at_its_published_number_of_steps() -> None:
    added = betas("linear", 1000)
    assert added[0].item() == pytest.approx(1e-4)
    assert added[-1].item() == pytest.approx(0.02)
    assert added[499].item() == pytest.approx(1e-4 + (0.02 - 1e-4) * 499 / 999)
    assert alpha_bars("linear", 1000)[-1].item() == pytest.approx(4.04e-5, rel=0.01)


def test_scaled_linear_is_linear_in_the_root() -> None:
    roots = betas("scaled_linear", 1000).sqrt()
    assert roots[0].item() == pytest.approx(0.01)
    assert roots[-1].item() == pytest.approx(0.02**0.5)
    torch.testing.assert_close(roots.diff(), roots.diff().mean().expand(999))


def test_sigmoid_is_a_logistic_curve_between_the_same_ends() -> None:
    share = (betas("sigmoid", 1001) * 1001 / 1000 - 1e-4) / (0.02 - 1e-4)
    assert share[500].item() == pytest.approx(0.5)
    torch.testing.assert_close(torch.logit(share), torch.linspace(-6, 6, 1001, dtype=torch.float64))


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "sigmoid"])
def test_fewer_steps_take_the_same_path(name: ScheduleName) -> None:
    few, many = alpha_bars(name, 200), alpha_bars(name, 1000)
    assert (few[::20] - many[::100]).abs().max() < 0.01
