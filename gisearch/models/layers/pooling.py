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
        z_i = (z_w - sum a_p f_p) / (1 - sum a_p) and z_w - z_i = sum a_p (f_p - z_i): O(|P|) per genotype,
        and without subtracting two nearly equal vectors. The sums over kept genes are corrected from those
        over all but the K heaviest genes, which are then added where they are kept. So what is subtracted
        never exceeds what remains, and the result is accurate even where P holds nearly all the weight.

        Args:
            genes: wild-type gene embeddings, [N, h].
            deleted: deleted genes, int64 [B, K]; any valid index where there is none.
            present: which entries of ``deleted`` count, bool [B, K].
        """
        weights = torch.softmax(self.gate(genes).squeeze(-1), dim=0)
        features = self.transform(genes)
        wild_type = weights @ features
        heavy = weights.topk(min(deleted.shape[1], len(weights))).indices
        light = weights.index_fill(0, heavy, 0.0)
        is_lost = (present.unsqueeze(2) & (deleted.unsqueeze(2) == heavy)).any(1)
        heavy_kept = torch.where(is_lost, 0.0, weights[heavy])
        light_lost = torch.where(present, light[deleted], 0.0)
        deleted_features = features[deleted]
        kept = light.sum() + heavy_kept.sum(1) - light_lost.sum(1)
        kept_sum = light @ features + heavy_kept @ features[heavy]
        kept_sum = kept_sum - (light_lost.unsqueeze(-1) * deleted_features).sum(1)
        # A cell without any weight left has no mutant; the bound keeps it finite.
        mutant = kept_sum / kept.clamp_min(torch.finfo(kept.dtype).tiny).unsqueeze(-1)
        lost = torch.where(present, weights[deleted], 0.0).unsqueeze(-1)
        difference = (lost * (deleted_features - mutant.unsqueeze(1))).sum(1)
        return PooledCell(wild_type.unsqueeze(0), difference)
