"""Linear layers, norms and initial scales."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gisearch.models.layers.mlp import NetworkLinear, NetworkNorm, are_alone, joined, mlp, robust_init, slabs


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_a_network_linear_is_one_linear_per_network() -> None:
    layer, x = NetworkLinear(3, 4, 5), torch.randn(3, 7, 4)
    nn.init.normal_(layer.bias)
    out = layer(x)
    assert out.shape == (3, 7, 5)
    for i in range(3):
        expected = nn.functional.linear(x[i], layer.weight[i].T, layer.bias[i, 0])
        torch.testing.assert_close(out[i], expected)


def test_a_network_linear_can_leave_its_bias_out() -> None:
    layer, x = NetworkLinear(3, 4, 5), torch.randn(3, 7, 4)
    nn.init.normal_(layer.bias)
    expected = layer(x) - layer.bias
    (together,) = layer.each(alone=False, bias=False)
    torch.testing.assert_close(together(x), expected)
    alone = [one(part) for one, part in zip(layer.each(alone=True, bias=False), x, strict=True)]
    torch.testing.assert_close(torch.stack(alone), expected)
    torch.testing.assert_close(layer.of(1, x[1], bias=False), expected[1])


@pytest.mark.parametrize("layer", [NetworkLinear(3, 8, 8), NetworkNorm(3, 8)])
def test_networks_alone_get_their_own_weights_and_gradients(layer: NetworkLinear | NetworkNorm) -> None:
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x, outputs = torch.randn(3, 7, 8), torch.randn(3, 7, 8)
    parameters = list(layer.parameters())
    together = layer(x)
    alone = joined([one(part) for one, part in zip(layer.each(alone=True), x, strict=True)])
    torch.testing.assert_close(alone, together)
    torch.testing.assert_close(joined([layer.of(g, x[g]) for g in range(3)]), together)
    for found, expected in zip(
        torch.autograd.grad(alone, parameters, outputs),
        torch.autograd.grad(together, parameters, outputs),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_networks_are_taken_one_by_one_on_a_processor_and_together_elsewhere() -> None:
    x = torch.randn(3, 7, 4)
    parts = slabs(x)
    assert [part.shape for part in parts] == [(7, 4)] * 3
    assert are_alone(parts)
    assert torch.equal(joined(parts), x)
    elsewhere = slabs(x.to("meta"))
    assert [part.shape for part in elsewhere] == [(3, 7, 4)]
    assert not are_alone(elsewhere)


def test_a_network_norm_is_one_layer_norm_per_network() -> None:
    layer, x = NetworkNorm(3, 8), torch.randn(3, 7, 8) * 5 + 2
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    out = layer(x)
    for i in range(3):
        reference = nn.LayerNorm(8)
        reference.load_state_dict({"weight": layer.scale[i, 0], "bias": layer.shift[i, 0]})
        torch.testing.assert_close(out[i], reference(x[i]))


def test_robust_init_is_kaiming_fan_out_with_zero_bias_and_small_scores() -> None:
    model = nn.Sequential(nn.Linear(64, 512), nn.Linear(512, 1), nn.Linear(400, 300, bias=False))
    robust_init(model)
    wide, score, plain = model
    assert isinstance(wide, nn.Linear)
    assert isinstance(score, nn.Linear)
    assert isinstance(plain, nn.Linear)
    assert wide.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.03)
    assert plain.weight.std().item() == pytest.approx((2 / 300) ** 0.5, rel=0.03)
    # Kaiming's fan-out of one would make a score's weights sqrt(2): a first prediction of
    # inputs of unit scale would have a standard deviation of 32.
    assert score(torch.randn(1000, 512)).std().item() < 1.5
    assert (wide.bias == 0).all()
    assert (score.bias == 0).all()


def test_network_linears_start_at_the_same_scale() -> None:
    layer = NetworkLinear(3, 200, 300)
    assert layer.weight.std().item() == pytest.approx((2 / 300) ** 0.5, rel=0.02)
    assert (layer.bias == 0).all()


def kinds(model: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in model]


def test_mlp_puts_norm_activation_and_dropout_between_its_layers() -> None:
    inner = ["Linear", "LayerNorm", "GELU", "Dropout"]
    between = mlp([4, 5, 6], act="gelu", norm="layer", dropout=0.2)
    assert kinds(between) == [*inner, "Linear"]
    assert kinds(mlp([4, 5, 6], act="gelu", norm="layer", dropout=0.2, finish=True)) == inner * 2
    assert kinds(mlp([4, 5, 6])) == ["Linear", "ReLU", "Linear"]
    assert kinds(mlp([4, 1])) == ["Linear"]
    assert between(torch.randn(3, 4)).shape == (3, 6)
