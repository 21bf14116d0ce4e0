"""Kernels between genes by where they stand in a network.

Shapes: N genes, r and c genes asked for.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from gisearch.data.cell_graph import Network
from gisearch.data.derived.recent import Recent
from gisearch.models.kernels.sparse import sparse_rows

# Columns that spread over the network at a time, which bounds the memory.
_BLOCK = 512
# Trials of one process ask for the same genes of the same networks; 2,000 genes are 32 MB.
_LARGEST_KEPT = 2_000
_recent = Recent[tuple[Tensor, Tensor]](12)
_TINY = torch.finfo(torch.float64).tiny


class NetworkKernel:
    """How much two genes' random walks meet: M M^T with a unit diagonal, M = ((1 - a) I + a S)^t.

    S = D^-1/2 A D^-1/2 of the network without directions and scores. A lazy walk of t steps, whose overlap
    is a diffusion kernel on the graph (Kondor and Lafferty 2002, ICML; Smola and Kondor 2003, COLT). A gene
    without edges is like itself alone.
    """

    def __init__(self, network: Network, num_genes: int, spread: float, steps: int) -> None:
        self.num_genes, self.spread, self.steps = num_genes, spread, steps
        edges = np.concatenate([network.edges, network.edges[::-1]], axis=1)
        flat = np.unique(edges[0] * num_genes + edges[1])
        row, column = torch.from_numpy(flat // num_genes), torch.from_numpy(flat % num_genes)
        self._content = num_genes, hashlib.blake2b(flat.tobytes(), digest_size=16).digest()
        degree = torch.bincount(row, minlength=num_genes)
        root = degree.double().clamp_min(1.0).rsqrt()
        starts = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        self._step = sparse_rows(starts, column, spread * root[row] * root[column], num_genes)
        # Norms of columns of M; 0 is one that is not known yet.
        self._norm = torch.zeros(num_genes, dtype=torch.float64)

    def to(self, device: torch.device) -> NetworkKernel:
        """Move to a device."""
        self._step, self._norm = self._step.to(device), self._norm.to(device)
        return self

    def between(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the kernel between genes, float64 [r, c], of int64 [r] and [c]."""
        if rows is columns:
            square, norm = self._among(rows)
            self._norm[rows] = norm
            return square
        norm = self._norms_of(columns)
        blocks = [rows.new_empty(0, len(columns), dtype=torch.float64)]
        for some in rows.split(_BLOCK):
            # M is symmetric: rows of M M^T are walks of twice the steps, and no column has to walk.
            walks = self._walks(some)
            own = walks.norm(dim=0).clamp_min(_TINY)
            self._norm[some] = own
            blocks.append((self._step_on(walks)[columns] / norm.unsqueeze(1) / own).T)
        return torch.cat(blocks)

    def _among(self, genes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the kernel among genes, float64 [r, r], and the norms of their columns of M, [r]."""

        def compute() -> tuple[Tensor, Tensor]:
            walks = self._walks(genes)
            norm = walks.norm(dim=0).clamp_min(_TINY)
            walks /= norm
            return walks.T @ walks, norm

        if genes.device.type != "cpu" or len(genes) > _LARGEST_KEPT:
            return compute()
        return _recent.get((self._content, self.spread, self.steps, genes.numpy().tobytes()), compute)

    def _norms_of(self, genes: Tensor) -> Tensor:
        """Return the norms of the genes' columns of M, float64 [genes]; each is computed once."""
        for some in genes[self._norm[genes] == 0.0].unique().split(_BLOCK):
            self._norm[some] = self._walks(some).norm(dim=0).clamp_min(_TINY)
        return self._norm[genes]

    def _walks(self, genes: Tensor) -> Tensor:
        """Return the genes' columns of M, float64 [N, genes]."""
        walks = torch.zeros(self.num_genes, len(genes), dtype=torch.float64, device=genes.device)
        walks[genes, torch.arange(len(genes), device=genes.device)] = 1.0
        return self._step_on(walks)

    def _step_on(self, walks: Tensor) -> Tensor:
        """Return M times the walks, float64 [N, genes]."""
        for _ in range(self.steps):
            walks = torch.sparse.mm(self._step, walks).add_(walks, alpha=1.0 - self.spread)
        return walks
