"""Products by oneDNN against PyTorch's own, gradients included, and who takes which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gisearch.models.layers import product as module
from gisearch.models.layers.product import Linear, processor_maker, product
from gisearch.models.layers.product import onednn_is_faster as decide

ROWS, WIDTH = 600, 64

has_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="this build of PyTorch has no oneDNN",
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Take oneDNN whatever the processor; the shapes that it was given."""
    torch.manual_seed(0)
    shapes: list[tuple[int, ...]] = []
    multiply = module._multiply

    def recorded(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        shapes.append(tuple(x.shape))
        return multiply(x, weight, bias)

    monkeypatch.setattr(module, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(module, "_multiply", recorded)
    return shapes


def plain() -> Tensor:
    return torch.randn(ROWS, WIDTH)


INPUTS: dict[str, Callable[[], Tensor]] = {
    "rows": plain,
    "sets": lambda: torch.randn(30, 20, WIDTH),
    "transposed": lambda: torch.randn(WIDTH, ROWS).t(),
    "expanded": lambda: torch.randn(30, 1, WIDTH).expand(30, 20, WIDTH),
    "strided": lambda: torch.randn(ROWS, 2 * WIDTH)[:, ::2],
}


def strided_bias() -> Tensor:
    return torch.randn(WIDTH, 3)[:, 1]


@has_onednn
@pytest.mark.parametrize("bias", ["none", "plain", "strided"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", INPUTS)
def test_it_is_the_linear_layer_with_its_gradients(
    calls: list[tuple[int, ...]], kind: str, transposed: bool, bias: str
) -> None:
    x = INPUTS[kind]()
    weight = torch.randn(WIDTH, WIDTH)
    given = {"none": None, "plain": torch.randn(WIDTH), "strided": strided_bias()}[bias]
    outputs = torch.randn(*x.shape[:-1], WIDTH)

    def of(call: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        tensors = [t.to(dtype).requires_grad_() for t in (x, weight, given) if t is not None]
        leaf_weight = tensors[1].t() if transposed else tensors[1]
        out = call(tensors[0], leaf_weight, *tensors[2:])
        return [out, *torch.autograd.grad(out, tensors, outputs.to(dtype))]

    found = of(product, torch.float32)
    assert len(calls) == 2, "forward, and the input's gradient"
    for value, expected in zip(found, of(linear, torch.float64), strict=True):
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-4)


@has_onednn
def test_a_gradient_that_nobody_asked_for_is_not_computed(calls: list[tuple[int, ...]]) -> None:
    weight = torch.randn(WIDTH, WIDTH, requires_grad=True)
    product(plain(), weight).sum().backward()
    assert len(calls) == 1
    assert weight.grad is not None


@has_onednn
@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (torch.ones(8, WIDTH), torch.ones(WIDTH, WIDTH)),
        (torch.ones(500_000, 8), torch.ones(WIDTH, 8)),
        (torch.ones(50_000, WIDTH), torch.ones(1, WIDTH)),
        (torch.ones(ROWS, WIDTH, dtype=torch.float64), torch.ones(WIDTH, WIDTH, dtype=torch.float64)),
    ],
    ids=["few rows", "narrow input", "a score", "double precision"],
)
def test_what_would_not_gain_goes_to_pytorch(calls: list[tuple[int, ...]], x: Tensor, weight: Tensor) -> None:
    torch.testing.assert_close(product(x, weight), linear(x, weight))
    assert calls == []


@has_onednn
def test_autocast_decides_for_itself(calls: list[tuple[int, ...]]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert product(plain(), torch.randn(WIDTH, WIDTH)).dtype == torch.bfloat16
    assert calls == []


@has_onednn
def test_the_layer_is_pytorchs_with_its_parameters(calls: list[tuple[int, ...]]) -> None:
    ours, theirs, x = Linear(WIDTH, 32), nn.Linear(WIDTH, 32), torch.randn(2000, WIDTH)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))
    assert calls == [(2000, WIDTH)]


@pytest.mark.parametrize(
    ("capability", "maker", "faster"),
    [
        ("AVX512", "AuthenticAMD", True),
        ("AVX512", "GenuineIntel", False),
        ("AVX512", None, False),
        ("AVX2", "AuthenticAMD", False),
    ],
)
@has_onednn
def test_it_is_faster_where_mkl_leaves_avx_512_unused(
    monkeypatch: pytest.MonkeyPatch, capability: str, maker: str | None, faster: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(module, "processor_maker", lambda: maker)
    assert decide.__wrapped__() is faster


def test_the_processors_maker_is_read_from_the_system(tmp_path: Path) -> None:
    source = tmp_path / "cpuinfo"
    source.write_text("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\n")
    assert processor_maker(source) == "AuthenticAMD"
    source.write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert processor_maker(source) is None
    assert processor_maker(tmp_path / "nowhere") is None
