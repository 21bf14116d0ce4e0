"""All networks of the cell as one sparse operator: neighbour sums without edge-sized temporaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from gisearch.data.cell_graph import Network


class Neighbours(nn.Module):
    """The incoming edges of G networks over N genes, stacked as G * N rows.

    Attributes:
        source: int64 [E], the source gene of every edge, sorted by network, then target.
        offsets: int64 [G * N + 1], where each (network, target) row starts in ``source``.
        row: int64 [E], the (network, target) row of every edge.
        reverse_row: int64 [E], the rows, sorted by source gene.
        reverse_offsets: int64 [N + 1], where each source gene starts in ``reverse_row``.
    """

    source: Tensor
    offsets: Tensor
    row: Tensor
    reverse_row: Tensor
    reverse_offsets: Tensor

    def __init__(self, networks: Sequence[Network], num_genes: int) -> None:
        super().__init__()
        edges = [torch.tensor(network.edges) for network in networks]
        source = torch.cat([edge[0] for edge in edges])
        row = torch.cat([edge[1] + i * num_genes for i, edge in enumerate(edges)])
        self._set(source, row, len(networks), num_genes)

    @classmethod
    def from_rows(cls, source: Tensor, row: Tensor, num_networks: int, num_genes: int) -> Neighbours:
        """Build from the source gene and the (network, target) row of every edge, sorted by row."""
        built = cls.__new__(cls)
        nn.Module.__init__(built)
        built._set(source, row, num_networks, num_genes)
        return built

    def _set(self, source: Tensor, row: Tensor, num_networks: int, num_genes: int) -> None:
        self.num_networks, self.num_genes = num_networks, num_genes
        by_source = torch.argsort(source, stable=True)
        # Not persistent: the cell graph is data, not a parameter of the model.
        for name, tensor in (
            ("source", source),
            ("offsets", offsets_of(row, num_networks * num_genes)),
            ("row", row),
            ("reverse_row", row[by_source]),
            ("reverse_offsets", offsets_of(source[by_source], num_genes)),
        ):
            self.register_buffer(name, tensor, persistent=False)

    def sum(self, x: Tensor) -> Tensor:
        """Sum the features of each gene's neighbours in every network: [N, h] to [G, N, h]."""
        incidence = Incidence(self.source, self.offsets, self.reverse_row, self.reverse_offsets)
        return incidence.sum(x).view(self.num_networks, self.num_genes, -1)

    def sum_with_own(self, x: Tensor, own: Tensor) -> Tensor:
        """Sum the features of each gene's neighbours and ``own`` times its own: [N, h] to [G, N, h].

        Args:
            x: [N, h].
            own: a factor per network, [G, 1, 1].
        """
        total: Tensor = _SumWithOwn.apply(  # type: ignore[no-untyped-call]
            x, own.to(x.dtype), self.source, self.offsets, self.reverse_row, self.reverse_offsets
        )
        return total

    def mean(self, x: Tensor) -> Tensor:
        """Average the features of each gene's neighbours in every network: [N, h] to [G, N, h].

        A gene without neighbours gets zeros.
        """
        return self.sum(x) / self.degree

    @property
    def degree(self) -> Tensor:
        """The number of neighbours, but at least one, int64 [G, N, 1]."""
        return (self.offsets[1:] - self.offsets[:-1]).clamp_min(1).view(self.num_networks, self.num_genes, 1)


def offsets_of(rows: Tensor, num_rows: int) -> Tensor:
    """Return where each row starts in the sorted ``rows``, int64 [num_rows + 1]."""
    counts = torch.bincount(rows, minlength=num_rows)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


@dataclass(frozen=True)
class Incidence:
    """A sparse 0/1 matrix, held by rows and by columns.

    Attributes:
        column: int64 or int32 [E], the columns of the ones, sorted by row.
        row_offsets: of the same type [rows + 1], where each row starts in ``column``.
        row: [E], the rows of the ones, sorted by column.
        column_offsets: [columns + 1], where each column starts in ``row``.
    """

    column: Tensor
    row_offsets: Tensor
    row: Tensor
    column_offsets: Tensor

    def sum(self, x: Tensor) -> Tensor:
        """Multiply with features: [columns, h] to [rows, h]."""
        total: Tensor = _SparseSum.apply(  # type: ignore[no-untyped-call]
            x, self.column, self.row_offsets, self.row, self.column_offsets
        )
        return total


class _SparseSum(torch.autograd.Function):
    """A sparse 0/1 matrix times features; the gradient is the transposed product."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, column: Tensor, row_offsets: Tensor, row: Tensor, column_offsets: Tensor
    ) -> Tensor:
        ctx.save_for_backward(row, column_offsets)
        return _bag(column, x, row_offsets)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        row, column_offsets = ctx.saved_tensors
        return _bag(row, grad_outputs[0].contiguous(), column_offsets), None, None, None, None


class _SumWithOwn(torch.autograd.Function):
    """Neighbour sums plus multiples of the features; its gradients need no temporary of [G, N, h]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        own: Tensor,
        source: Tensor,
        offsets: Tensor,
        reverse_row: Tensor,
        reverse_offsets: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(x, own, reverse_row, reverse_offsets)
        return _bag(source, x, offsets).view(len(own), *x.shape).addcmul_(x, own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, own, reverse_row, reverse_offsets = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        by_network = grad.view(len(own), -1)
        grad_x = _bag(reverse_row, grad.view(-1, x.shape[-1]), reverse_offsets)
        grad_x = torch.addmv(grad_x.view(-1), by_network.t(), own.view(-1)).view_as(x)
        grad_own = (by_network @ x.reshape(-1)).view_as(own)
        return grad_x, grad_own, None, None, None, None


def _bag(index: Tensor, x: Tensor, offsets: Tensor) -> Tensor:
    return embedding_bag(index, x, offsets, mode="sum", include_last_offset=True)
