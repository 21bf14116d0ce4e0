"""Reconstruction of every network's adjacency matrix, without ever building an N x N matrix.

Entry (i, j) of a network is predicted as p_ij = h_i . w_j + b_j = u_i . v_j, with u = [h, 1] and v = [w, b].
The loss of a network is the mean over all N x N entries of (p_ij - a_ij)^2, weighted 1 where a_ij = 1 and
lambda where a_ij = 0. Written as lambda times the sum over all entries plus a correction on the edges:

    N^2 loss = lambda * sum over all of p_ij^2 + sum over edges of (1 - lambda) p_ij^2 - 2 p_ij + 1

The first sum is the inner product of two Gram matrices, <U'U, V'V>, and the second reads p on the edges
alone: O(N h^2 + E h) instead of O(N^2 h), and exact.

Source of the loss: DANGO, Zhang et al. 2020, doi:10.1101/2020.11.26.400739.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from gisearch.models.layers.neighbours import Neighbours


class Reconstruction(nn.Module):
    """One linear layer per network, from a gene's embedding to its row of the adjacency matrix.

    Row i has a one for every gene from which an edge leads to i: the genes that a convolution averages over.

    Attributes:
        weight: [G, N, h], w.
        bias: [G, 1, N], b.
        by_source: int64 [E], the edges in the order of their sources.
        lambdas: the weight of the zero entries of each network.
        starts: where the edges of each network start, and where the last ones end, [G + 1].
    """

    by_source: Tensor

    def __init__(self, neighbours: Neighbours, width: int, lambdas: Sequence[float]) -> None:
        """Prepare for the networks of ``neighbours``, each with its own features.

        Args:
            neighbours: a :class:`SeparateNeighbours`, given to ``forward`` too.
            width: h.
            lambdas: the weight of the zero entries of each of the G networks.
        """
        super().__init__()
        self.lambdas = tuple(lambdas)
        # Kept as numbers: read from the buffer, they would make every step wait for the device.
        self.starts = tuple(neighbours.offsets[:: neighbours.num_genes].tolist())
        num_networks, num_genes = neighbours.num_networks, neighbours.num_genes
        # Kaiming fan-out, as robust_init does for nn.Linear.
        self.weight = nn.Parameter(torch.randn(num_networks, num_genes, width) * math.sqrt(2 / num_genes))
        self.bias = nn.Parameter(torch.zeros(num_networks, 1, num_genes))
        by_source = torch.argsort(neighbours.source, stable=True)
        self.register_buffer("by_source", by_source, persistent=False)

    def forward(self, x: Tensor, neighbours: Neighbours) -> Tensor:
        """Return the mean over networks of the reconstruction loss, a scalar of at least single precision.

        Args:
            x: every gene's embedding in every network, [G, N, h].
            neighbours: the networks that the module was made for.
        """
        # The two sums nearly cancel where the reconstruction is good: half precision would leave noise.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight.dtype)
            u = torch.cat([x, x.new_ones(*x.shape[:2], 1)], dim=-1)
            v = torch.cat([self.weight, self.bias.transpose(1, 2)], dim=-1)
            gram_products = ((u.mT @ u) * (v.mT @ v)).sum((1, 2))
            everywhere = gram_products @ gram_products.new_tensor(self.lambdas)
            on_edges: Tensor = _EdgeCorrection.apply(  # type: ignore[no-untyped-call]
                u, v, self.lambdas, self.starts, neighbours, self.by_source
            )
            num_networks, num_genes, _ = x.shape
            return (everywhere + on_edges) / (num_networks * num_genes**2)


class _EdgeCorrection(torch.autograd.Function):
    """The sum over the edges of all networks of (1 - lambda) p^2 - 2 p + 1, p = u_i . v_j.

    Its gradient is found along with its value, as the loss is a scalar: nothing is kept but two tensors of
    the size of u and v, and no tensor is ever of size E x h.
    """

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        v: Tensor,
        lambdas: tuple[float, ...],
        starts: tuple[int, ...],
        neighbours: Neighbours,
        by_source: Tensor,
    ) -> Tensor:
        num_genes = neighbours.num_genes
        source, offsets = neighbours.source, neighbours.offsets
        # Detached, so that PyTorch does not prepare gradients of the sums below.
        rows_u, rows_v = u.detach().flatten(0, 1), v.detach().flatten(0, 1)
        # d sum / d p of every edge; where lambda is 1 that is -2 whatever p is.
        slope = u.new_full((len(source),), -2.0)
        quadratic = u.new_zeros(())
        for i, weight in enumerate(lambdas):
            edges = slice(starts[i], starts[i + 1])
            if weight != 1.0 and edges.stop > edges.start:
                begins = offsets[i * num_genes : (i + 1) * num_genes + 1] - edges.start
                p = _products_on_edges(u[i], rows_v, begins, source[edges])
                slope[edges] += (2 * (1 - weight)) * p
                quadratic += (1 - weight) * p.dot(p)
        grad_u = _bag(source, rows_v, offsets, slope)
        if any(ctx.needs_input_grad):
            grad_v = _bag(neighbours.reverse_row, rows_u, neighbours.reverse_offsets, slope[by_source])
            ctx.save_for_backward(grad_u.view_as(u), grad_v.view_as(v))
        # The sum of slope * p is <u, grad_u>: it holds the linear terms, and the quadratic ones twice.
        return (rows_u * grad_u).sum() - quadratic + len(source)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad_u, grad_v = ctx.saved_tensors
        return grad_outputs[0] * grad_u, grad_outputs[0] * grad_v, None, None, None, None


def _products_on_edges(u: Tensor, rows_v: Tensor, begins: Tensor, source: Tensor) -> Tensor:
    """Return u_i . v_j for the edges of one network, [E]: a sampled dense-dense product."""
    with warnings.catch_warnings():
        # Every construction of such a tensor may warn that its interface is not final.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        pattern = torch.sparse_csr_tensor(
            begins, source, u.new_zeros(len(source)), (len(u), len(rows_v)), check_invariants=False
        )
        products: Tensor = torch.sparse.sampled_addmm(pattern, u, rows_v.T, beta=0.0).values()
    return products


def _bag(index: Tensor, rows: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    return embedding_bag(
        index, rows, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
