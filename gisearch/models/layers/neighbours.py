"""All networks of the cell as one sparse operator: neighbour sums without edge-sized temporaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
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
        self.num_networks = len(networks)
        self.num_genes = num_genes
        row = np.concatenate([network.edges[1] + i * num_genes for i, network in enumerate(networks)])
        source = np.concatenate([network.edges[0] for network in networks])
        by_source = np.argsort(source, kind="stable")
        # Not persistent: the cell graph is data, not a parameter of the model.
        for name, array in (
            ("source", source),
            ("offsets", _offsets(row, self.num_networks * num_genes)),
            ("row", row),
            ("reverse_row", row[by_source]),
            ("reverse_offsets", _offsets(source[by_source], num_genes)),
        ):
            self.register_buffer(name, torch.tensor(array, dtype=torch.int64), persistent=False)

    def sum(self, x: Tensor) -> Tensor:
        """Sum the features of each gene's neighbours in every network: [N, h] to [G, N, h]."""
        total: Tensor = _NeighbourSum.apply(  # type: ignore[no-untyped-call]
            x, self.source, self.offsets, self.reverse_row, self.reverse_offsets
        )
        return total.view(self.num_networks, self.num_genes, -1)

    def mean(self, x: Tensor) -> Tensor:
        """Average the features of each gene's neighbours in every network: [N, h] to [G, N, h].

        A gene without neighbours gets zeros.
        """
        degree = (self.offsets[1:] - self.offsets[:-1]).clamp_min(1)
        return self.sum(x) / degree.view(self.num_networks, self.num_genes, 1)


def _offsets(rows: np.ndarray[Any, np.dtype[np.int64]], num_rows: int) -> np.ndarray[Any, Any]:
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=num_rows))])


class _NeighbourSum(torch.autograd.Function):
    """A sparse 0/1 matrix times features; the gradient is the transposed product."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, source: Tensor, offsets: Tensor, reverse_row: Tensor, reverse_offsets: Tensor
    ) -> Tensor:
        ctx.save_for_backward(reverse_row, reverse_offsets)
        return _bag(source, x, offsets)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        reverse_row, reverse_offsets = ctx.saved_tensors
        return _bag(reverse_row, grad_outputs[0].contiguous(), reverse_offsets), None, None, None, None


def _bag(index: Tensor, x: Tensor, offsets: Tensor) -> Tensor:
    return embedding_bag(index, x, offsets, mode="sum", include_last_offset=True)
