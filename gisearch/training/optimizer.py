"""AdamW with warm-up and cosine restarts."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from gisearch.config import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OptimizerConfig:
    """The optimiser and its learning-rate schedule.

    Attributes:
        lr: peak learning rate.
        weight_decay: decoupled weight decay, on weight matrices only.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        warmup: share of all steps over which the rate rises from 0 to ``lr``.
        schedule: ``cosine`` decays to ``final_lr_ratio * lr``; ``constant`` stays at ``lr``.
        cycles: cosine cycles, each restarting at ``lr``.
        final_lr_ratio: where a cosine cycle ends, relative to ``lr``.
        clip_norm: bound on the gradient's norm; None does not clip.
    """

    lr: float = Field(default=3e-3, gt=0.0, le=10.0)
    weight_decay: float = Field(default=1e-4, ge=0.0, le=10.0)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    warmup: float = Field(default=0.05, ge=0.0, lt=1.0)
    schedule: Literal["cosine", "constant"] = "cosine"
    cycles: int = Field(default=1, ge=1, le=100)
    final_lr_ratio: float = Field(default=0.01, ge=0.0, le=1.0)
    clip_norm: float | None = Field(default=1.0, gt=0.0)

    def build(self, model: nn.Module, total_steps: int) -> tuple[AdamW, LambdaLR]:
        """Return the optimiser and its per-step schedule.

        The schedule is a function of the step alone, so that a resumed run continues it exactly.
        """
        # A model without weights of its own still has a schedule, of nothing.
        trained = [p for p in model.parameters() if p.requires_grad] or [nn.Parameter(torch.zeros(1))]
        decayed = [p for p in trained if _is_matrix(p)]
        others = [p for p in trained if not _is_matrix(p)]
        optimizer = AdamW(
            [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            fused=True,
        )
        return optimizer, LambdaLR(optimizer, lambda step: self.factor(step, total_steps))

    def factor(self, step: int, total_steps: int) -> float:
        """Return the learning rate at ``step`` relative to ``lr``.

        Source: SGDR, Loshchilov and Hutter 2017, arXiv 1608.03983.
        """
        warmup_steps = round(self.warmup * total_steps)
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if self.schedule == "constant":
            return 1.0
        progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
        within = 1.0 if progress == 1.0 else (progress * self.cycles) % 1.0
        return self.final_lr_ratio + (1 - self.final_lr_ratio) * 0.5 * (1 + math.cos(math.pi * within))


def _is_matrix(parameter: nn.Parameter) -> bool:
    # Biases and scales of stacked networks are vectors too: [G, 1, h].
    return parameter.ndim == 2 or (parameter.ndim > 2 and parameter.shape[-2] > 1)
