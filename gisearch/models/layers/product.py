"""Products of features with weights, by the faster of the two libraries that PyTorch has for processors.

PyTorch multiplies float32 matrices on x86 with MKL, which keeps to AVX2 on processors of other makers than
Intel, whatever they can do. oneDNN, which PyTorch's builds for x86 bring too, takes AVX-512 where there is
any, and is about twice as fast then. PyTorch itself turns to it for bfloat16 alone.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# What calling oneDNN costs must be small beside what it saves: multiplications, and columns on either side.
_LEAST_WORK = 2**21
_LEAST_COLUMNS = 16


class Linear(nn.Linear):
    """PyTorch's linear layer, with :func:`product`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        return product(x, self.weight, self.bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias: [..., in] times [out, in] to [..., out], as PyTorch's ``linear`` does."""
    if not _by_onednn(x, weight):
        return nn.functional.linear(x, weight, bias)
    rows = x if x.ndim == 2 else x.flatten(0, -2)
    result: Tensor = _OneDNNProduct.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    return result if x.ndim == 2 else result.unflatten(0, x.shape[:-1])


@lru_cache(maxsize=1)
def onednn_is_faster() -> bool:
    """Return whether this is a processor with AVX-512 that MKL does not use."""
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.mkl.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and processor_maker() not in ("GenuineIntel", None)
    )


def processor_maker(source: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return who made this machine's processor, as it says itself; None where the system does not tell."""
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), None)


def _by_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and min(weight.shape) >= _LEAST_COLUMNS
        and x.numel() * weight.shape[0] >= _LEAST_WORK
        and onednn_is_faster()
        and not torch.is_autocast_enabled("cpu")
    )


class _OneDNNProduct(torch.autograd.Function):
    """The product of rows [n, in]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), grad = ctx.saved_tensors, grad_outputs[0]
        of_x, of_weight, of_bias = ctx.needs_input_grad
        grad_x = _multiply(grad, weight.t(), None) if of_x else None
        if not of_weight:
            return grad_x, None, grad.sum(0) if of_bias else None
        grad_weight, grad_bias = torch.ops.aten.mkldnn_linear_backward_weights(
            grad.to_mkldnn(), x.to_mkldnn(), weight, of_bias
        )
        return grad_x, grad_weight, grad_bias if of_bias else None


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # It takes a bias for contiguous whether it is or not.
    bias = bias if bias is None else bias.contiguous()
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")
    return result
