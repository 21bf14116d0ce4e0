"""AdamW with warm-up and cosine restarts."""

from __future__ import annotations

from inspect import unwrap

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from gisearch.training.config import OptimizerConfig


class EagerAdamW(AdamW):
    """AdamW without PyTorch's compiler, which it would import to say what not to compile."""

    step = torch.no_grad()(unwrap(AdamW.step))
    add_param_group = unwrap(AdamW.add_param_group)
    zero_grad = unwrap(AdamW.zero_grad)
    state_dict = unwrap(AdamW.state_dict)
    load_state_dict = unwrap(AdamW.load_state_dict)


def adamw(config: OptimizerConfig, model: nn.Module, total_steps: int) -> tuple[AdamW, LambdaLR]:
    """Return the optimiser and its per-step schedule."""
    # A model without weights of its own still has a schedule, of nothing.
    trained = [p for p in model.parameters() if p.requires_grad] or [nn.Parameter(torch.zeros(1))]
    decayed = [p for p in trained if _is_matrix(p)]
    others = [p for p in trained if not _is_matrix(p)]
    optimizer = EagerAdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        fused=True,
    )
    return optimizer, LambdaLR(optimizer, lambda step: config.factor(step, total_steps))


def _is_matrix(parameter: nn.Parameter) -> bool:
    # Biases and scales of stacked networks are vectors too: [G, 1, h].
    return parameter.ndim == 2 or (parameter.ndim > 2 and parameter.shape[-2] > 1)
