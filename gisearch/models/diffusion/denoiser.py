"""The denoiser: a noisy number per sample, its step, and the genotype's context to what it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass

import torch
from torch import Tensor, nn

from gisearch.models.diffusion.config import DenoiserConfig
from gisearch.models.diffusion.context import ContextEncoder
from gisearch.models.layers.mlp import mlp
from gisearch.models.layers.product import Linear

MAX_PERIOD = 10_000.0


@plain_dataclass(frozen=True)
class ProjectedTokens:
    """The context as one attention layer reads it: L tokens in each of the heads.

    Attributes:
        keys: times the query's weights, [B, L * heads, h].
        offsets: what the query's bias adds to the logits, [B, L, heads, 1]; minus infinity for absent tokens.
        values: times the output's weights, [B, L * heads, h].
    """

    keys: Tensor
    offsets: Tensor
    values: Tensor


Context = tuple[ProjectedTokens, ...]
"""What the denoiser attends to, by block; made once per genotype for all of its samples and steps."""


class TimeEmbedding(nn.Module):
    """Sinusoids of the step through an MLP: [...] to [..., h].

    Source: Ho et al. 2020, arXiv 2006.11239, after Vaswani et al. 2017, arXiv 1706.03762.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = torch.arange(width // 2) / (width // 2)
        self.register_buffer("frequencies", torch.exp(-math.log(MAX_PERIOD) * exponent), persistent=False)
        self.mlp = mlp([2 * (width // 2), width, width], act="silu", finish=True)

    def forward(self, time: Tensor) -> Tensor:
        """Embed times between 0 and 1."""
        angle = time.unsqueeze(-1) * 1000.0 * self.frequencies
        out: Tensor = self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return out


class CrossAttention(nn.Module):
    """Multi-head attention from the states of a genotype to its context.

    A genotype has a handful of tokens and many states: samples times steps. So the query's and the output's
    weights are multiplied into keys and values, once per genotype, and a state is only ever compared with
    tokens. The numbers are those of plain multi-head attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        # A bias of the keys would shift all logits of a query alike, which the softmax ignores.
        self.key = Linear(width, width, bias=False)
        self.value = Linear(width, width)
        self.out = Linear(width, width)

    def project(self, tokens: Tensor, present: Tensor) -> ProjectedTokens:
        """Project tokens [B, L, h], of which ``present``, bool [B, L], exist."""
        heads, size = self.heads, tokens.shape[-1] // self.heads
        keys = self.key(tokens).unflatten(-1, (heads, size)) * size**-0.5
        values = self.value(tokens).unflatten(-1, (heads, size))
        queries, bias = self.query.weight.unflatten(0, (heads, size)), self.query.bias.view(heads, size)
        out = self.out.weight.unflatten(1, (heads, size))
        offsets = (keys * bias).sum(-1).masked_fill(~present.unsqueeze(-1), -torch.inf)
        return ProjectedTokens(
            keys=torch.einsum("blnd,ndh->blnh", keys, queries).flatten(1, 2),
            offsets=offsets.unsqueeze(-1),
            values=torch.einsum("blnd,hnd->blnh", values, out).flatten(1, 2),
        )

    def forward(self, x: Tensor, tokens: ProjectedTokens) -> Tensor:
        """Map states [B, S, h] to what they read from the context, [B, S, h]."""
        logits = (tokens.keys @ x.transpose(1, 2)).unflatten(1, (-1, self.heads)) + tokens.offsets
        weights = torch.softmax(logits, dim=1).flatten(1, 2)
        return weights.transpose(1, 2) @ tokens.values + self.out.bias


class DenoiserBlock(nn.Module):
    """Cross-attention, then an MLP, each pre-norm, shifted and scaled by time, and residual.

    Shift and scale by time: the adaptive norm of Peebles and Xie 2023, arXiv 2212.09748.
    """

    def __init__(self, width: int, config: DenoiserConfig) -> None:
        super().__init__()
        self.attention = CrossAttention(width, config.num_heads)
        self.mlp = mlp([width, 2 * width, width], dropout=config.dropout)
        norms = [nn.LayerNorm(width, elementwise_affine=False) for _ in range(2)]
        self.norms: Sequence[nn.LayerNorm] = nn.ModuleList(norms)  # type: ignore[assignment]
        self.time = Linear(width, 4 * width)

    def forward(self, x: Tensor, time: Tensor, tokens: ProjectedTokens) -> Tensor:
        """Map states [B, S, h] at embedded times [B or 1, S or 1, h] to [B, S, h]."""
        scale, shift, mlp_scale, mlp_shift = self.time(time).chunk(4, dim=-1)
        attention_norm, mlp_norm = self.norms
        x = x + self.attention(_at_time(attention_norm, x, scale, shift), tokens)
        out: Tensor = x + self.mlp(_at_time(mlp_norm, x, mlp_scale, mlp_shift))
        return out


def _at_time(norm: nn.LayerNorm, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return the norm of states, scaled and shifted by time; in one pass where all are at the same time."""
    if scale.shape[:2] == (1, 1):
        # Autocast leaves the scale in bfloat16, which is no weight for a norm of float32.
        weight, bias = (1 + scale).flatten().to(x.dtype), shift.flatten().to(x.dtype)
        return nn.functional.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)
    return torch.addcmul(shift, norm(x), 1 + scale)


class Denoiser(nn.Module):
    """Says of noisy values what the process's parameterisation asks for, given each genotype's context."""

    def __init__(self, width: int, config: DenoiserConfig) -> None:
        super().__init__()
        self.context = ContextEncoder(width, config.context_layers, config.num_heads, config.dropout)
        self.state = Linear(1, width)
        self.time = TimeEmbedding(width)
        blocks = [DenoiserBlock(width, config) for _ in range(config.num_blocks)]
        self.blocks: Sequence[DenoiserBlock] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.norm = nn.LayerNorm(width)
        self.out = Linear(width, 1)

    def read(self, tokens: Tensor, present: Tensor) -> Context:
        """Return the context of tokens [B, L, h], of which ``present``, bool [B, L], exist."""
        tokens = self.context(tokens, present)
        return tuple(block.attention.project(tokens, present) for block in self.blocks)

    def forward(self, x: Tensor, time: Tensor, context: Context) -> Tensor:
        """Denoise.

        Args:
            x: noisy values, [B, S].
            time: the step over T, [B, S], or [1, 1] where all are at the same step.
            context: of the B genotypes.
        """
        embedded = self.time(time)
        # Entry by entry instead of as a product of matrices: a single number must not be rounded to bfloat16.
        hidden = torch.addcmul(self.state.bias, x.unsqueeze(-1), self.state.weight.squeeze(1))
        for block, tokens in zip(self.blocks, context, strict=True):
            hidden = block(hidden, embedded, tokens)
        out: Tensor = (self.norm(hidden) * self.out.weight).sum(-1) + self.out.bias
        return out
