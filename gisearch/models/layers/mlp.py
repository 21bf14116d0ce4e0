"""Linear layers, norms and MLPs, for one set of features or for a stack of networks at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

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


def slabs(networks: Tensor) -> list[tuple[int, Tensor]]:
    """Divide features of G networks, [G, n, h], into those that are computed at a time.

    On a processor that is one network after another, whose features stay in its cache from one operation to
    the next; on a GPU all of them, because starting an operation costs more there than memory does.

    Returns:
        Slabs [g, n, h], each with its first network.
    """
    if networks.device.type != "cpu":
        return [(0, networks)]
    return list(enumerate(networks.split(1)))


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Put slabs back together, [G, n, h]."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


class NetworkLinear(nn.Module):
    """One linear layer per network, applied to any slab of the networks."""

    def __init__(self, num_networks: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_networks, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(num_networks, 1, out_features))
        # Kaiming fan-out, as robust_init does for nn.Linear.
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / out_features))

    def forward(self, x: Tensor, first: int = 0, *, bias: bool = True) -> Tensor:
        """Apply to networks ``first`` and following: [g, n, in] to [g, n, out].

        Args:
            x: features of g networks.
            first: the first of them.
            bias: whether the bias is added.
        """
        if len(x) == 1:
            return self.of(first, x.squeeze(0), bias=bias).unsqueeze(0)
        weight = _those(self.weight, first, len(x))
        if not bias:
            return torch.bmm(x, weight)
        return torch.baddbmm(_those(self.bias, first, len(x)), x, weight)

    def of(self, network: int, x: Tensor, *, bias: bool = True) -> Tensor:
        """Apply one network's layer to rows of its own: [n, in] to [n, out]."""
        return product(x, self.weight[network].t(), self.bias.squeeze(1)[network] if bias else None)


class NetworkNorm(nn.Module):
    """Layer norm over the features with a scale and shift per network, applied to any slab of them."""

    def __init__(self, num_networks: int, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_networks, 1, features))
        self.shift = nn.Parameter(torch.zeros(num_networks, 1, features))

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Apply to networks ``first`` and following: [g, n, h] to the same."""
        if len(x) == 1:
            return self.of(first, x)
        normed = nn.functional.layer_norm(x, x.shape[-1:])
        return torch.addcmul(_those(self.shift, first, len(x)), normed, _those(self.scale, first, len(x)))

    def of(self, network: int, x: Tensor) -> Tensor:
        """Apply one network's scale and shift to rows of its own: [..., h] to the same."""
        # Only one network's scale and shift can be part of the fused operation.
        scale, shift = self.scale.squeeze(1)[network], self.shift.squeeze(1)[network]
        return nn.functional.layer_norm(x, x.shape[-1:], scale, shift)


def _those(parameter: Tensor, first: int, count: int) -> Tensor:
    """Return the rows of ``count`` networks; a slice of all would cost its gradient a copy."""
    return parameter if count == len(parameter) else parameter[first : first + count]


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
