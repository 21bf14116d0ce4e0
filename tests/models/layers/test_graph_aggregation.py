"""Each aggregation against a plain reference, values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gisearch.models.layers.graph_aggregation import (
    CrossAttentionAggregation,
    PairwiseInteractionAggregation,
    graph_aggregation,
)

NETWORKS, GENES, WIDTH = 4, 7, 8


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(NETWORKS, GENES, WIDTH, dtype=torch.float64, requires_grad=True)


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.6)


def assert_same(found: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), inputs, retain_graph=True),
        torch.autograd.grad((expected * weight).sum(), inputs, retain_graph=True),
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parametrize(("name", "reduce"), [("sum", torch.sum), ("mean", torch.mean)])
def test_sum_and_mean(name: str, reduce: Callable[..., Tensor], x: Tensor) -> None:
    out, attention = graph_aggregation(name, NETWORKS, WIDTH, heads=2, bottleneck=3)([x])  # type: ignore[arg-type]
    assert attention is None
    assert_same(out, reduce(x, dim=0), [x])


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_cross_attention_is_self_attention_over_networks_averaged_over_queries(heads: int, x: Tensor) -> None:
    ours = CrossAttentionAggregation(NETWORKS, WIDTH, heads).double()
    randomise(ours)
    theirs = nn.MultiheadAttention(WIDTH, heads, batch_first=True).double()
    assert theirs.in_proj_weight is not None
    # The very same tensors, so that gradients with regard to them can be compared.
    shared = {
        "in_proj_weight": ours.qkv.weight,
        "in_proj_bias": ours.qkv.bias,
        "out_proj.weight": ours.out.weight,
        "out_proj.bias": ours.out.bias,
    }
    tokens = (x + ours.network).transpose(0, 1)
    attended, weights = torch.func.functional_call(
        theirs, shared, (tokens, tokens, tokens), {"need_weights": True, "average_attn_weights": True}
    )
    out, attention = ours([x])
    assert_same(out, attended.mean(1), [x, *ours.parameters()])
    torch.testing.assert_close(attention, weights.mean(1))
    assert attention.shape == (GENES, NETWORKS)
    torch.testing.assert_close(attention.sum(1), torch.ones(GENES, dtype=torch.float64))


def test_cross_attention_tells_networks_apart() -> None:
    ours = CrossAttentionAggregation(NETWORKS, WIDTH, 2).double()
    randomise(ours)
    same = torch.randn(1, GENES, WIDTH, dtype=torch.float64).expand(NETWORKS, -1, -1)
    _, attention = ours([same])
    assert (attention - 1 / NETWORKS).abs().max() > 0.01


def test_pairwise_interaction_is_the_mlp_on_literal_concatenations(x: Tensor) -> None:
    bottleneck = 3
    ours = PairwiseInteractionAggregation(NETWORKS, WIDTH, bottleneck).double()
    randomise(ours)
    first_weight = torch.cat([ours.left.weight, ours.right.weight], dim=1)
    options = []
    for i in range(NETWORKS):
        for j in range(i, NETWORKS):
            pair = torch.cat([x[i], x[j]], dim=-1)
            hidden = torch.relu(pair @ first_weight.T + ours.left.bias)
            options.append(hidden @ ours.expand.weight.T + ours.expand.bias)
    options.append(x.mean(0))
    stacked = torch.stack(options, dim=1)
    weights = torch.softmax(stacked @ ours.score.weight.T + ours.score.bias, dim=1)
    out, attention = ours([x])
    assert_same(out, (weights * stacked).sum(1), [x, *ours.parameters()])
    torch.testing.assert_close(attention, weights.squeeze(-1))
    assert attention.shape == (GENES, NETWORKS * (NETWORKS + 1) // 2 + 1)


@pytest.mark.parametrize("name", ["sum", "mean", "cross_attention", "pairwise_interaction"])
def test_one_network_is_enough(name: str) -> None:
    torch.manual_seed(0)
    aggregation = graph_aggregation(name, 1, WIDTH, heads=2, bottleneck=3)  # type: ignore[arg-type]
    out, attention = aggregation([torch.randn(1, GENES, WIDTH)])
    assert out.shape == (GENES, WIDTH)
    assert torch.isfinite(out).all()
    if attention is not None:
        torch.testing.assert_close(attention.sum(1), torch.ones(GENES))


def test_shares_of_networks(x: Tensor) -> None:
    attention = CrossAttentionAggregation(NETWORKS, WIDTH, 2).double()
    weights = attention([x])[1]
    assert torch.equal(attention.network_shares(weights, NETWORKS), weights)
    pairwise = PairwiseInteractionAggregation(3, WIDTH, 2)
    # Pairs 00, 01, 02, 11, 12, 22, then the plain mean.
    weights = torch.tensor([[0.1, 0.2, 0.0, 0.1, 0.3, 0.0, 0.3]])
    expected = torch.tensor([[0.1 + 0.1 + 0.1, 0.1 + 0.1 + 0.15 + 0.1, 0.15 + 0.1]])
    torch.testing.assert_close(pairwise.network_shares(weights, 3), expected)


@pytest.mark.parametrize("name", ["sum", "mean", "cross_attention", "pairwise_interaction"])
def test_networks_one_by_one_are_all_at_once(name: str) -> None:
    aggregation = graph_aggregation(name, 3, WIDTH, heads=2, bottleneck=3)  # type: ignore[arg-type]
    x = torch.randn(3, GENES, WIDTH)
    torch.testing.assert_close(aggregation(x.unbind()), aggregation([x]))
