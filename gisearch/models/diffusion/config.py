"""Configurations of the diffusion head, without PyTorch, which only building it needs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT

ScheduleName = Literal["cosine", "linear", "scaled_linear", "sigmoid"]


ParameterisationName = Literal["x0", "epsilon", "v"]


SamplerName = Literal["dpm", "ddim", "ddpm"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProcessConfig:
    """The forward process and the training loss.

    Attributes:
        schedule: how fast the noise takes over.
        steps: diffusion steps T.
        parameterisation: what the denoiser predicts: the clean value, the noise, or the velocity.
        draws: noise levels and noises drawn per genotype and training step; they share one encoding.
        bandwidth: standard deviation of the Gaussian kernel that smooths the labels, in standard deviations
            of the label; about the spread of samples where training labels are known by heart.
    """

    schedule: ScheduleName = "cosine"
    steps: int = Field(default=200, ge=2, le=4000)
    parameterisation: ParameterisationName = "x0"
    draws: int = Field(default=8, ge=1, le=256)
    bandwidth: float = Field(default=0.3, ge=0.0, le=2.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DenoiserConfig:
    """The network that removes the noise.

    Attributes:
        num_blocks: blocks of time embedding, cross-attention and MLP.
        num_heads: attention heads; must divide the hidden width.
        context_layers: layers of self-attention among the context tokens before the denoiser reads them.
        dropout: dropout on the context tokens and in every MLP.
    """

    num_blocks: int = Field(default=2, ge=1, le=12)
    context_layers: int = Field(default=1, ge=0, le=8)
    num_heads: int = Field(default=4, ge=1, le=64)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SamplerConfig:
    """How predictions are drawn.

    Attributes:
        method: ``dpm``, of second order, is exact enough with the fewest steps; ``ddim`` is deterministic
            where ``eta`` is 0; ``ddpm`` adds fresh noise in every step and wants most of the process's.
        steps: denoising steps, at most those of the process.
        eta: ``ddim`` only: share of ``ddpm``'s noise.
        samples: samples per genotype.
    """

    method: SamplerName = "dpm"
    steps: int = Field(default=8, ge=1, le=4000)
    eta: float = Field(default=0.0, ge=0.0, le=1.0)
    samples: int = Field(default=16, ge=2, le=4096)
