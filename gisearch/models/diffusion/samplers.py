"""Samplers: from noise to values, a few denoising steps at a time.

Sources: DDPM: Ho et al. 2020, arXiv 2006.11239. DDIM: Song et al. 2021, arXiv 2010.02502. The multistep
DPM-Solver++ of second order: Lu et al. 2022, arXiv 2211.01095.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from gisearch.models.diffusion.config import SamplerConfig
from gisearch.models.diffusion.process import DiffusionProcess
from gisearch.models.diffusion.schedules import alpha_bars

NOISE_SEED = 0


def normal_quantiles(count: int) -> Tensor:
    """Return the standard normal's quantiles at (s + 0.5) / S, scaled to variance one; float64 [S]."""
    share = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    values: Tensor = torch.special.ndtri(share)
    # The midpoints of S slices miss the tails: 16 of them have a variance of 0.94.
    return values.div(values.square().mean().sqrt())


def sampling_steps(process_steps: int, count: int) -> list[int]:
    """Return K of the T steps, falling from T, and a closing 0.

    Quadratically denser near 0 (Song et al. 2021, appendix D.2), where the last jump decides how wide the
    samples spread.
    """
    chosen: list[int] = [0]
    for k in range(1, count + 1):
        wanted = round(process_steps * (k / count) ** 2)
        # No step twice, and room for the steps that are still to come.
        chosen.append(min(max(wanted, chosen[-1] + 1), process_steps - count + k))
    return chosen[::-1]


@plain_dataclass(frozen=True)
class Move:
    """One denoising step, as plain numbers.

    Attributes:
        step: where it starts, between 1 and T.
        signal: of the starting step.
        noise: of the starting step.
        next_signal: of the step that it leads to.
        next_noise: of the step that it leads to.
        spread: standard deviation of the fresh noise that it adds.
        extrapolation: how much of the last change of the clean value to expect again.
    """

    step: int
    signal: float
    noise: float
    next_signal: float
    next_noise: float
    spread: float
    extrapolation: float


def plan_moves(config: SamplerConfig, process: DiffusionProcess) -> list[Move]:
    """Return the K moves of a sampler, from almost pure noise to clean values."""
    kept = alpha_bars(process.config.schedule, process.config.steps)
    signal, noise = kept.sqrt().tolist(), (1 - kept).sqrt().tolist()
    # DDPM is DDIM with all of the noise: equation 16 of Song et al. 2021.
    eta = {"dpm": 0.0, "ddim": config.eta, "ddpm": 1.0}[config.method]
    steps = sampling_steps(process.config.steps, config.steps)
    moves = []
    for i, (a, b) in enumerate(pairwise(steps)):
        extrapolation = 0.0
        if config.method == "dpm" and i > 0 and b > 0:
            before, here, after = (math.log(signal[t] / noise[t]) for t in (steps[i - 1], a, b))
            extrapolation = (after - here) / (here - before) / 2
        spread = eta * noise[b] / noise[a] * math.sqrt(1 - (signal[a] / signal[b]) ** 2)
        moves.append(Move(a, signal[a], noise[a], signal[b], noise[b], spread, extrapolation))
    return moves


class Sampler(nn.Module):
    """Draws S samples per genotype from fixed noise, so that a prediction repeats itself exactly.

    All genotypes share the noise: S stratified quantiles to begin with, and the same quantiles in another
    order for every step that adds noise (quasi-Monte Carlo: means over samples vary far less than with
    independent noise).

    Attributes:
        initial: [S].
        fresh: noise of every step, [K, S].
    """

    initial: Tensor
    fresh: Tensor

    def __init__(self, config: SamplerConfig, process: DiffusionProcess) -> None:
        super().__init__()
        self.process = process
        self.moves = plan_moves(config, process)
        quantiles = normal_quantiles(config.samples).float()
        generator = torch.Generator().manual_seed(NOISE_SEED)
        orders = torch.stack([torch.randperm(config.samples, generator=generator) for _ in self.moves])
        self.register_buffer("initial", quantiles, persistent=False)
        self.register_buffer("fresh", quantiles[orders], persistent=False)

    def forward(self, denoise: Callable[[Tensor, int], Tensor], batch: int) -> Tensor:
        """Draw samples, [B, S].

        Args:
            denoise: the denoiser's output on values [B, S] at a step.
            batch: genotypes B.
        """
        x = self.initial.expand(batch, -1)
        previous = torch.zeros_like(x)
        for move, fresh in zip(self.moves, self.fresh, strict=True):
            expected = self.process.clean_from(denoise(x, move.step), x, move.step)
            clean = expected + move.extrapolation * (expected - previous)
            direction = (x - move.signal * clean) / move.noise
            kept = math.sqrt(max(move.next_noise**2 - move.spread**2, 0.0))
            x = move.next_signal * clean + kept * direction + move.spread * fresh
            previous = expected
        return x
