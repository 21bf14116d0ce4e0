"""What a gene's neighbours have on average, in several networks at once, and sums of that over hops.

Shapes: N genes, E directed entries of the combined network, h numbers per gene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from gisearch.data.cell_graph import Network


class NetworkMean(nn.Module):
    """The weighted mean of the neighbours' numbers, P x: [N, h] to [N, h].

    A row of P holds the scores of a gene's edges (1 where a network has none), taken without direction and
    divided by their sum: in every network by itself, then averaged over those in which the gene has
    neighbours. So a dense network does not drown a sparse one. The row of a gene without neighbours is empty.

    Attributes:
        source: int64 [E], the neighbour of every entry, sorted by gene.
        offsets: int64 [N + 1], where each gene's entries start.
        share: float32 [E], the entries of P.
        reverse_source, reverse_offsets, reverse_share: the same of the transposed P.
    """

    source: Tensor
    offsets: Tensor
    share: Tensor
    reverse_source: Tensor
    reverse_offsets: Tensor
    reverse_share: Tensor

    def __init__(self, networks: Sequence[Network], num_genes: int) -> None:
        super().__init__()
        forward = _mean_matrix(networks, num_genes)
        for prefix, matrix in (("", forward), ("reverse_", forward.T.tocsr())):
            matrix.sort_indices()
            # Not persistent: the cell graph is data, not a parameter of the model.
            for name, values in (
                ("source", torch.from_numpy(matrix.indices.astype(np.int64))),
                ("offsets", torch.from_numpy(matrix.indptr.astype(np.int64))),
                ("share", torch.from_numpy(matrix.data.astype(np.float32))),
            ):
                self.register_buffer(f"{prefix}{name}", values, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of every gene's neighbours, [N, h]; zeros for a gene without any."""
        forward = (self.source, self.offsets, self.share)
        reverse = (self.reverse_source, self.reverse_offsets, self.reverse_share)
        mean: Tensor = _Product.apply(x, forward, reverse)  # type: ignore[no-untyped-call]
        return mean

    def spread(self, x: Tensor, weight: float, hops: int) -> Tensor:
        """Return x + w P x + ... + w^hops P^hops x: [N, h] to [N, h].

        It is what solves f = x + w P f, cut after ``hops`` terms: a gene without numbers of its own gets w
        times the mean of its neighbours'.
        """
        total = reached = x
        for _ in range(hops if weight > 0 else 0):
            reached = weight * self(reached)
            total = total + reached
        return total


def _mean_matrix(networks: Sequence[Network], num_genes: int) -> Any:
    """Return P as scipy's csr_array, float64 [N, N]."""
    from scipy.sparse import csr_array, diags_array

    total, holding = csr_array((num_genes, num_genes)), np.zeros(num_genes)
    for network in networks:
        source, target = network.edges
        scores = np.ones(len(source)) if network.scores is None else network.scores.astype(np.float64)
        edges = csr_array((scores, (target, source)), shape=(num_genes, num_genes))
        edges = edges.maximum(edges.T)
        strength = edges.sum(axis=1)
        total = total + diags_array(1 / np.where(strength > 0, strength, 1)) @ edges
        holding += strength > 0
    return (diags_array(1 / np.maximum(holding, 1)) @ total).tocsr()


class _Product(torch.autograd.Function):
    """The gradient of a product with a matrix is one with its transposed; no temporary of E rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: tuple[Tensor, ...], reverse: tuple[Tensor, ...]) -> Tensor:
        ctx.reverse = reverse
        return _multiply(x.detach(), *forward)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        return _multiply(grad_outputs[0].contiguous(), *ctx.reverse), None, None


def _multiply(x: Tensor, source: Tensor, offsets: Tensor, share: Tensor) -> Tensor:
    return embedding_bag(
        source,
        x,
        offsets,
        mode="sum",
        per_sample_weights=share.to(x.dtype),
        include_last_offset=True,
    )
