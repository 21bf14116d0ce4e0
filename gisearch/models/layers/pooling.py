"""Attentional pooling of the cell, wild type and mutant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gisearch.models.layers.mlp import mlp


@dataclass(frozen=True)
class PooledCell:
    """The pooled wild type and what each mutant changes in it.

    Attributes:
        wild_type: z_w, [1, h].
        difference: z_p = z_w - z_i, [B, h].
    """

    wild_type: Tensor
    difference: Tensor

    @property
    def mutant(self) -> Tensor:
        """z_i, [B, h]: pooled over the kept genes only."""
        return self.wild_type - self.difference


class AttentionalPooling(nn.Module):
    """A softmax gate over kept genes times transformed features.

    Source: the global attention of Li et al. 2016, arXiv 1511.05493.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = mlp([width, width // 2, 1])
        self.transform = nn.Linear(width, width)

    def forward(self, genes: Tensor, deleted: Tensor, present: Tensor) -> PooledCell:
        """Pool the wild type, and every mutant without its deleted genes.

        With gate weights a_n of the wild type (summing to one) and features f_n, leaving out the set P gives
        z_i = (z_w - sum a_p f_p) / (1 - sum a_p), hence z_w - z_i = sum a_p (f_p - z_w) / (1 - sum a_p):
        the difference in O(|P|), and without subtracting two nearly equal vectors.

        Args:
            genes: wild-type gene embeddings, [N, h].
            deleted: deleted genes, int64 [B, K]; any valid index where there is none.
            present: which entries of ``deleted`` count, bool [B, K].
        """
        weights = torch.softmax(self.gate(genes).squeeze(-1), dim=0)
        features = self.transform(genes)
        wild_type = weights @ features
        lost = torch.where(present, weights[deleted], 0.0).unsqueeze(-1)
        # A cell whose pooled weight is deleted altogether has no mutant; the bound keeps it finite.
        kept = (1 - lost.sum(1)).clamp_min(1e-6)
        difference = (lost * (features[deleted] - wild_type)).sum(1) / kept
        return PooledCell(wild_type.unsqueeze(0), difference)
