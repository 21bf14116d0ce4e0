"""Sums over the rows of a table that a sparse 0/1 matrix names, without edge-sized temporaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

# Entries of a sum that a GPU adds one after another.
LONGEST_PIECE = 64


@dataclass(frozen=True)
class Pieces:
    """Long sums cut into pieces, which a GPU adds side by side: it takes a sum's entries one by one.

    With hubs that decides: one gene with thousands of neighbours would keep all others waiting.

    Attributes:
        offsets: int64 [P + 1], where each piece starts among the entries.
        rows: int64 [rows + 1], where the pieces of each row start.
    """

    offsets: Tensor
    rows: Tensor

    @classmethod
    def of(cls, offsets: Tensor, longest: int = LONGEST_PIECE) -> Pieces | None:
        """Cut sums that start at ``offsets``, [rows + 1]; None where none is longer than ``longest``."""
        entries = offsets.diff()
        if not len(entries) or int(entries.max()) <= longest:
            return None
        count = (entries + longest - 1) // longest
        rows = torch.cat([count.new_zeros(1), count.cumsum(0)])
        row = torch.repeat_interleave(torch.arange(len(count), device=offsets.device), count)
        starts = offsets[row] + (torch.arange(len(row), device=offsets.device) - rows[row]) * longest
        return cls(torch.cat([starts, offsets[-1:]]), rows)


@dataclass(frozen=True)
class Sums:
    """One sum of a table's rows per row of the result.

    Attributes:
        index: int64 or int32 [E], the table's rows, sum after sum.
        offsets: of the same type [rows + 1], where each sum starts in ``index``.
        pieces: what long sums are cut into; None adds every sum at one go.
    """

    index: Tensor
    offsets: Tensor
    pieces: Pieces | None = None

    def of(self, table: Tensor) -> Tensor:
        """Sum rows of a table: [columns, h] to [rows, h]."""
        if self.pieces is None:
            return _bag(self.index, table, self.offsets)
        parts = _bag(self.index, table, self.pieces.offsets)
        every = torch.arange(len(parts), device=parts.device)
        return _bag(every, parts, self.pieces.rows)


@dataclass(frozen=True)
class Incidence:
    """A sparse 0/1 matrix, held by rows and by columns.

    Attributes:
        by_row: the columns of every row's ones.
        by_column: the rows of every column's ones.
    """

    by_row: Sums
    by_column: Sums

    def sum(self, x: Tensor) -> Tensor:
        """Multiply with features: [columns, h] to [rows, h]."""
        total: Tensor = _Product.apply(x, self)  # type: ignore[no-untyped-call]
        return total

    def sum_with_own(self, x: Tensor, own: Tensor) -> Tensor:
        """Multiply with features, and add multiples of them: [N, h] to [G, N, h].

        Args:
            x: [N, h]; the matrix is [G * N, N].
            own: the factors, [G, 1, 1].
        """
        total: Tensor = _ProductAndOwn.apply(x, own.to(x.dtype), self)  # type: ignore[no-untyped-call]
        return total


class _Product(torch.autograd.Function):
    """The gradient of a product with a matrix is one with its transposed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Incidence) -> Tensor:
        ctx.matrix = matrix
        return matrix.by_row.of(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return ctx.matrix.by_column.of(grad_outputs[0].contiguous()), None


class _ProductAndOwn(torch.autograd.Function):
    """The product plus multiples of the features; its gradients need no temporary of [G, N, h]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, own: Tensor, matrix: Incidence) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(x, own)
        return matrix.by_row.of(x).view(len(own), *x.shape).addcmul_(x, own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        x, own = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        by_network = grad.view(len(own), -1)
        grad_x = ctx.matrix.by_column.of(grad.view(-1, x.shape[-1]))
        grad_x.view(-1).addmv_(by_network.t(), own.view(-1))
        return grad_x, (by_network @ x.reshape(-1)).view_as(own), None


def _bag(index: Tensor, x: Tensor, offsets: Tensor) -> Tensor:
    # A tensor that needs a gradient would have it plan one of its own.
    return embedding_bag(index, x.detach(), offsets, mode="sum", include_last_offset=True)
