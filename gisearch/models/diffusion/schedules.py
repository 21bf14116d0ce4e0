"""Noise schedules: how much of the signal is left after each diffusion step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gisearch.models.diffusion.config import ScheduleName

MAX_BETA = 0.999
COSINE_OFFSET = 0.008
LINEAR_FIRST, LINEAR_LAST, LINEAR_STEPS = 1e-4, 0.02, 1000
SIGMOID_REACH = 6.0


def betas(name: ScheduleName, steps: int) -> Tensor:
    """Return the noise variance that each of T steps adds, float64 [T], below one.

    ``cosine``: from alpha_bar(t) = f(t) / f(0) with f(t) = cos²((t / T + s) / (1 + s) pi / 2) and s = 0.008;
    Nichol and Dhariwal 2021, arXiv 2102.09672.
    ``linear``: from 1e-4 to 0.02 over 1000 steps; Ho et al. 2020, arXiv 2006.11239.
    ``scaled_linear``: linear in the square root of beta between the same ends; Rombach et al. 2022, arXiv
    2112.10752.
    ``sigmoid``: between the same ends along a logistic curve; Xu et al. 2022, arXiv 2203.02923.
    The last three were made for 1000 steps; with fewer, each step adds as much more noise.
    """
    if name == "cosine":
        time = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        kept = torch.cos((time + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2).square()
        return (1 - kept[1:] / kept[:-1]).clamp_max(MAX_BETA)
    first, last = (LINEAR_STEPS / steps * end for end in (LINEAR_FIRST, LINEAR_LAST))
    match name:
        case "linear":
            values = torch.linspace(first, last, steps, dtype=torch.float64)
        case "scaled_linear":
            values = torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64).square()
        case "sigmoid":
            curve = torch.linspace(-SIGMOID_REACH, SIGMOID_REACH, steps, dtype=torch.float64).sigmoid()
            values = first + (last - first) * curve
    return values.clamp_max(MAX_BETA)


def alpha_bars(name: ScheduleName, steps: int) -> Tensor:
    """Return the share of the signal's variance left after 0 to T steps, float64 [T + 1]; the first is 1."""
    kept = torch.cumprod(1 - betas(name, steps), dim=0)
    return torch.cat([torch.ones(1, dtype=torch.float64), kept])
