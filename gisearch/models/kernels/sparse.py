"""Sparse matrices in rows, as PyTorch multiplies them fastest."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def sparse_rows(starts: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    """Return a square matrix in compressed rows; a place that occurs twice holds the sum.

    Args:
        starts: where each row begins, int64 [size + 1].
        columns: int64 [E].
        values: float64 [E].
        size: rows and columns.
    """
    with warnings.catch_warnings():
        # PyTorch says once that this layout is young; the tests compare its products with plain ones.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(starts, columns, values, (size, size), check_invariants=False)
