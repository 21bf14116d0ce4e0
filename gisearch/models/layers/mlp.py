"""Linear layers, norms and MLPs, for one set of features or for a stack of networks at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from gisearch.models.layers.config import ActivationName, NormName
from gisearch.models.layers.product import Linear, product

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


def activation(name: ActivationName, *, in_place: bool = False) -> nn.Module:
    """Return the activation module called ``name``.

    Args:
        name: which one.
        in_place: write over the input where the gradient allows it, for an input that nobody else reads.
    """
    if in_place and name == "relu":
        return nn.ReLU(inplace=True)
    return _ACTIVATIONS[name]()


def robust_init(module: nn.Module) -> None:
    """Initialise every linear layer below ``module``: Kaiming fan-out weights, zero bias.

    A layer with a single output is a score: its fan-out of one would make first predictions tens of
    standard deviations wide, so it starts near zero instead.
    Source: He et al. 2015, arXiv 1502.01852.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            if layer.out_features == 1:
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
            else:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def slabs(networks: Tensor) -> Sequence[Tensor]:
    """Divide features of G networks, [G, n, h], into slabs: what is computed at a time.

    On a processor those are the networks one by one, [n, h], whose features stay in its cache from one
    operation to the next; on a GPU it is all of them, because starting an operation costs more there than
    memory does.
    """
    return each(networks, alone=networks.device.type == "cpu")


def each(stacked: Tensor, *, alone: bool) -> Sequence[Tensor]:
    """Return what is stacked by network for every slab: one by one, or all as they are."""
    return stacked.unbind() if alone else (stacked,)


def are_alone(parts: Sequence[Tensor]) -> bool:
    """Return whether every slab is one network."""
    return parts[0].ndim == 2


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Put slabs back together, [G, n, h]."""
    return torch.stack(list(parts)) if are_alone(parts) else parts[0]


Layer: TypeAlias = Callable[[Tensor], Tensor]


class NetworkLinear(nn.Module):
    """One linear layer per network."""

    def __init__(self, num_networks: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_networks, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(num_networks, 1, out_features))
        # Kaiming fan-out, as robust_init does for nn.Linear.
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to all networks, [G, n, in]; returns [G, n, out]."""
        return torch.baddbmm(self.bias, x, self.weight)

    def each(self, *, alone: bool, bias: bool = True) -> Sequence[Layer]:
        """Return the layer for every slab.

        Args:
            alone: whether slabs are single networks, [n, in] to [n, out], or all of them.
            bias: whether the bias is added.
        """
        if not alone:
            return [self if bias else partial(torch.bmm, mat2=self.weight)]
        # Taken apart once: one network's share of a weight at a time would cost a gradient of all for each.
        weights = self.weight.mT.unbind()
        if not bias:
            return [partial(product, weight=weight) for weight in weights]
        both = zip(weights, self.bias.squeeze(1).unbind(), strict=True)
        return [partial(product, weight=weight, bias=shift) for weight, shift in both]

    def of(self, network: int, x: Tensor, *, bias: bool = True) -> Tensor:
        """Apply one network's layer to rows of its own: [n, in] to [n, out]."""
        return product(x, self.weight[network].t(), self.bias[network, 0] if bias else None)


class NetworkNorm(nn.Module):
    """Layer norm over the features with a scale and shift per network."""

    def __init__(self, num_networks: int, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_networks, 1, features))
        self.shift = nn.Parameter(torch.zeros(num_networks, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to all networks, [G, n, h]."""
        return torch.addcmul(self.shift, nn.functional.layer_norm(x, x.shape[-1:]), self.scale)

    def each(self, *, alone: bool) -> Sequence[Layer]:
        """Return the norm for every slab: single networks, [n, h], or all of them."""
        if not alone:
            return [self]
        # Only one network's scale and shift can be part of the fused operation.
        both = zip(self.scale.squeeze(1).unbind(), self.shift.squeeze(1).unbind(), strict=True)
        norm = partial(nn.functional.layer_norm, normalized_shape=self.scale.shape[-1:])
        return [partial(norm, weight=scale, bias=shift) for scale, shift in both]

    def of(self, network: int, x: Tensor) -> Tensor:
        """Apply one network's scale and shift to rows of its own: [n, h] to the same."""
        scale, shift = self.scale[network, 0], self.shift[network, 0]
        return nn.functional.layer_norm(x, x.shape[-1:], scale, shift)


def mlp(
    widths: Sequence[int],
    *,
    act: ActivationName = "relu",
    norm: NormName = "none",
    dropout: float = 0.0,
    finish: bool = False,
) -> nn.Sequential:
    """Return linear layers of the given widths with norm, activation and dropout between them.

    Args:
        widths: input width, hidden widths, output width.
        act: activation after each layer but the last.
        norm: norm before each activation.
        dropout: dropout after each activation.
        finish: put norm, activation and dropout after the last layer too.
    """
    layers: list[nn.Module] = []
    for i, (width_in, width_out) in enumerate(pairwise(widths)):
        layers.append(Linear(width_in, width_out))
        if finish or i < len(widths) - 2:
            if norm == "layer":
                layers.append(nn.LayerNorm(width_out))
            layers.append(activation(act, in_place=True))
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
