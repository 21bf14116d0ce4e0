"""What very many genotypes change in the pooled cell, from one row per gene, computed once.

Shapes: N genes, B genotypes with K deletions each, h width, m outputs of a linear map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.layers.pooling import AttentionalPooling

# Where so few genes hold more of the weight than this, little of the cell may remain.
_MOST_DELETIONS = 3
_HEAVY = 0.5


class PoolingTables:
    """z_p = z_w - z_i of genotypes on the wild type's embeddings, through a linear map.

    With gate weights a_n that sum to one and the pooled embeddings z = sum a_n x_n, leaving out the set P
    changes them by sum_p a_p (x_p - z) / (1 - sum_p a_p): a sum of one row per deleted gene. It is what
    :class:`AttentionalPooling` computes from x_p - z_i.

    Attributes:
        wild_type: z_w, [1, h].
    """

    def __init__(self, pooling: AttentionalPooling, genes: Tensor, through: Tensor | None = None) -> None:
        """Prepare.

        Args:
            pooling: the gate and the transform.
            genes: wild-type gene embeddings, [N, h].
            through: the map that is applied to z_p, [m, h]; None returns z_p itself, with m = h.
        """
        self.wild_type = pooling.wild_type(genes)
        weights = torch.softmax(pooling.gate(genes).squeeze(-1).double(), dim=0)
        features = genes.double()
        change = weights.unsqueeze(1) * (features - weights @ features)
        mapped = pooling.transform.weight if through is None else through @ pooling.transform.weight
        heavy = weights.topk(min(_MOST_DELETIONS, len(weights))).values.sum() > _HEAVY
        self.table = (change @ mapped.double().T).to(torch.float64 if heavy else genes.dtype)
        self.weights = weights.unsqueeze(1)
        self.dtype = genes.dtype

    def __call__(self, deleted: Tensor) -> Tensor:
        """Return z_p through the map, [B, m], for deleted genes int64 [B, K]."""
        lost = nn.functional.embedding_bag(deleted, self.weights, mode="sum")
        # A cell without any weight left has no mutant; the bound, above rounding, keeps it finite.
        kept = (1 - lost).clamp_min(1e-12).to(self.table.dtype)
        change = nn.functional.embedding_bag(deleted, self.table, mode="sum")
        return change.div_(kept).to(self.dtype)
