"""Linear layers, norms and MLPs, for one set of features or for a stack of networks at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gisearch.models.layers.config import ActivationName, NormName

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


def activation(name: ActivationName) -> nn.Module:
    """Return the activation module called ``name``."""
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


class NetworkLinear(nn.Module):
    """One linear layer per network, applied to all networks in one batched product.

    Maps [G, N, in] to [G, N, out].
    """

    def __init__(self, num_networks: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_networks, in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(num_networks, 1, out_features))
        # Kaiming fan-out, as robust_init does for nn.Linear.
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to [G, N, in]; returns [G, N, out]."""
        return torch.baddbmm(self.bias, x, self.weight)

    def of(self, network: int, x: Tensor) -> Tensor:
        """Apply one network's layer to rows of its own: [n, in] to [n, out]."""
        return torch.addmm(self.bias[network], x, self.weight[network])


class NetworkNorm(nn.Module):
    """Layer norm over the features with a scale and shift per network: [G, N, h] to the same."""

    def __init__(self, num_networks: int, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_networks, 1, features))
        self.shift = nn.Parameter(torch.zeros(num_networks, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to [G, N, h]."""
        # Network by network, because only then scale and shift are part of the fused operation.
        parts = zip(x.unbind(), self.scale.unbind(), self.shift.unbind(), strict=True)
        return torch.stack(
            [nn.functional.layer_norm(part, part.shape[-1:], a[0], b[0]) for part, a, b in parts]
        )

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
        layers.append(nn.Linear(width_in, width_out))
        if finish or i < len(widths) - 2:
            if norm == "layer":
                layers.append(nn.LayerNorm(width_out))
            layers.append(activation(act))
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
