"""Gene features of the deleted genes as features of a genotype, without learning.

Shapes: B genotypes, K deletions each at most, P = K(K-1)/2 pairs, N genes, C columns of all tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gisearch.data.gene_features import GeneFeatures
from gisearch.models.batch import GenotypeBatch

# A wider table is represented by as many principal components: trees look at every column of every genotype.
WIDEST = 32
_WHAT = ("min", "mean", "max", "product", "distance")


class FeatureSummaries(nn.Module):
    """Five numbers per column of gene features and genotype, float64 [B, 5 C].

    Minimum, mean and maximum over the deleted genes; over their pairs the mean of the product and of the
    distance |x_i - x_j|. Genes without a row do not count; where none is left, or no pair, the value is NaN.

    Attributes:
        names: what the features are, 5 C of them.
    """

    values: Tensor
    known: Tensor

    def __init__(self, tables: Sequence[GeneFeatures]) -> None:
        super().__init__()
        columns = [_narrowed(table) for table in tables]
        self.names = [
            f"{what}.{table.name}.{i + 1}"
            for what in _WHAT
            for table, values in zip(tables, columns, strict=True)
            for i in range(values.shape[1])
        ]
        known = [
            np.repeat(table.known[:, None], values.shape[1], 1)
            for table, values in zip(tables, columns, strict=True)
        ]
        # Not persistent: features are data, not parameters of the model.
        self.register_buffer("values", torch.from_numpy(np.concatenate(columns, axis=1)), persistent=False)
        self.register_buffer("known", torch.from_numpy(np.concatenate(known, axis=1)), persistent=False)

    def forward(self, batch: GenotypeBatch) -> Tensor:
        """Return the features of B genotypes, float64 [B, 5 C]."""
        x, exists = self.values[batch.deleted], self.known[batch.deleted] & batch.present.unsqueeze(-1)
        number = batch.deleted.shape[1]
        first, second = torch.triu_indices(number, number, 1, device=x.device)
        both = exists[:, first] & exists[:, second]
        summaries = [
            torch.where(exists, x, torch.inf).amin(1).masked_fill(~exists.any(1), torch.nan),
            _mean(x, exists),
            torch.where(exists, x, -torch.inf).amax(1).masked_fill(~exists.any(1), torch.nan),
            _mean(x[:, first] * x[:, second], both),
            _mean((x[:, first] - x[:, second]).abs(), both),
        ]
        return torch.cat(summaries, dim=1)


def _mean(values: Tensor, exists: Tensor) -> Tensor:
    """Return the mean over the genes or pairs that exist, [B, C]; NaN where there is none."""
    result: Tensor = torch.where(exists, values, 0.0).sum(1) / exists.sum(1)
    return result


def _narrowed(table: GeneFeatures) -> npt.NDArray[np.float64]:
    """Return the table, or its first principal components where it is wide, float64 [N, C]."""
    values = table.values.astype(np.float64)
    if table.width <= WIDEST:
        return values
    known = values[table.known]
    centred = known - known.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:WIDEST]
    # An axis has no direction of its own: its largest entry is positive.
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).round(9).argmax(axis=1)])
    result = np.zeros((table.num_genes, len(axes)))
    result[table.known] = centred @ (axes * signs[:, None]).T
    return result
