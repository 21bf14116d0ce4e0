"""The denoiser and its attention, against plain multi-head attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.diffusion.config import DenoiserConfig
from gisearch.models.diffusion.context import ContextEncoder
from gisearch.models.diffusion.denoiser import CrossAttention, Denoiser

WIDTH, HEADS = 16, 4
PRESENT = torch.tensor([[True] * 5, [True] * 4 + [False], [True, False, True, False, False]])


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 7, WIDTH, generator=generator), torch.randn(3, 5, WIDTH, generator=generator)


def test_folded_attention_equals_plain_multi_head_attention() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(WIDTH, HEADS)
    reference = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
        reference.in_proj_bias.copy_(torch.cat([layer.query.bias, torch.zeros(WIDTH), layer.value.bias]))
        reference.out_proj.load_state_dict(layer.out.state_dict())
    states, tokens = inputs()
    expected, _ = reference(states, tokens, tokens, key_padding_mask=~PRESENT)
    torch.testing.assert_close(layer(states, layer.project(tokens, PRESENT)), expected, atol=1e-5, rtol=1e-4)


def test_absent_tokens_are_not_read() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(WIDTH, DenoiserConfig(context_layers=2)).eval()
    x, time = torch.randn(3, 7), torch.full((1, 1), 0.4)
    _, tokens = inputs()
    other = torch.where(PRESENT.unsqueeze(-1), tokens, 9.0)
    one, two = (denoiser(x, time, denoiser.read(t, PRESENT)) for t in (tokens, other))
    torch.testing.assert_close(one, two)
    changed = denoiser(x, time, denoiser.read(tokens + 0.5 * torch.randn_like(tokens), PRESENT))
    assert (changed - one).abs().min(dim=1).values.max() > 1e-4


def test_states_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(WIDTH, DenoiserConfig()).eval()
    _, tokens = inputs()
    context, x, time = denoiser.read(tokens, PRESENT), torch.randn(3, 7), torch.rand(3, 7)
    together = denoiser(x, time, context)
    alone = torch.cat([denoiser(x[:, [i]], time[:, [i]], context) for i in range(7)], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert together.std(1).min() > 1e-3, "the state and the time count"


def test_one_time_for_all_states_equals_the_same_time_for_each() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(WIDTH, DenoiserConfig()).eval()
    _, tokens = inputs()
    context, x = denoiser.read(tokens, PRESENT), torch.randn(3, 7)
    shared, each = (denoiser(x, time, context) for time in (torch.full((1, 1), 0.3), torch.full((3, 7), 0.3)))
    torch.testing.assert_close(shared, each, atol=1e-5, rtol=1e-5)


def test_the_time_counts() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(WIDTH, DenoiserConfig()).eval()
    _, tokens = inputs()
    context, x = denoiser.read(tokens, PRESENT), torch.randn(3, 7)
    early, late = (denoiser(x, torch.full((1, 1), time), context) for time in (0.2, 0.8))
    assert (early - late).abs().mean() > 1e-3


def test_context_layers_let_tokens_see_each_other() -> None:
    torch.manual_seed(0)
    _, tokens = inputs()
    changed = tokens.clone()
    changed[:, 0] += torch.randn(WIDTH)
    for layers, sees in ((0, False), (1, True)):
        encoder = ContextEncoder(WIDTH, layers, HEADS, 0.0)
        moved = (encoder(tokens, PRESENT) - encoder(changed, PRESENT))[0, 1:].abs().max() > 1e-4
        assert bool(moved) is sees
