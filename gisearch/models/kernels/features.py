"""Kernels between genes by tables of numbers about them.

Shapes: N genes, F features, r and c genes asked for.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gisearch.data.gene_features import GeneFeatures

FeatureShape: TypeAlias = Literal["gaussian", "linear"]


class FeatureKernel:
    """How alike two genes' features are, with a unit diagonal.

    ``gaussian`` is exp(-|x - y|^2 / (2 F h^2)) with bandwidth h, in standard deviations of one feature;
    ``linear`` the cosine. A gene without features is like itself alone.
    """

    def __init__(self, table: GeneFeatures, shape: FeatureShape, bandwidth: float) -> None:
        self.shape, self.bandwidth = shape, bandwidth
        self._values = torch.from_numpy(table.values).double()
        self._known = torch.from_numpy(table.known)

    def to(self, device: torch.device) -> FeatureKernel:
        """Move to a device."""
        self._values, self._known = self._values.to(device), self._known.to(device)
        return self

    def between(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the kernel between genes, float64 [r, c], of int64 [r] and [c]."""
        x, y = self._values[rows], self._values[columns]
        if self.shape == "linear":
            tiny = torch.finfo(x.dtype).tiny
            kernel = (x / x.norm(dim=1, keepdim=True).clamp_min(tiny)) @ (
                y / y.norm(dim=1, keepdim=True).clamp_min(tiny)
            ).T
        else:
            squared = x.square().sum(1, keepdim=True) + y.square().sum(1) - 2.0 * x @ y.T
            kernel = torch.exp(-squared.clamp_min(0.0) / (2.0 * x.shape[1] * self.bandwidth**2))
        known = self._known[rows].unsqueeze(1) & self._known[columns]
        return torch.where(known, kernel, 0.0).masked_fill(rows.unsqueeze(1) == columns, 1.0)
