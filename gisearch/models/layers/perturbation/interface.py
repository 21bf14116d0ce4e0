"""What every perturbation encoding gives, and encoding a large batch in parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.stages import StageMonitor

# Rows of (gene, genotype) that are encoded at a time: the reference cell's 28 genotypes and some more.
ROWS_AT_A_TIME = 250_000


@dataclass(frozen=True)
class PerturbedCells:
    """The wild type and the genotypes of one batch.

    Attributes:
        wild_type: z_w, the pooled wild type, [1, h].
        difference: z_p = z_w - z_i, pooled over the kept genes of each mutant, [B, h].
        deleted: wild-type embeddings of the deleted genes, [B, K, h]; arbitrary where none is present.
        attention: weights of the last graph aggregation per gene, [N, options], or None.
    """

    wild_type: Tensor
    difference: Tensor
    deleted: Tensor
    attention: Tensor | None

    @property
    def mutant(self) -> Tensor:
        """z_i, [B, h]: pooled over the kept genes only."""
        return self.wild_type - self.difference


class PerturbationEncoding(ABC):
    """Encodes a batch of genotypes on one cell graph."""

    @abstractmethod
    def __call__(
        self, encoder: Encoder, pooling: AttentionalPooling, batch: GenotypeBatch, monitor: StageMonitor
    ) -> PerturbedCells:
        """Encode the wild type and every genotype of ``batch``."""


def in_parts(encode: Callable[[GenotypeBatch], Tensor], batch: GenotypeBatch, num_genes: int) -> Tensor:
    """Encode a batch part by part where all rows at once would take too much memory.

    Training keeps nothing of a part but its result, and encodes it again in the backward pass.

    Args:
        encode: from n genotypes to [n, h].
        batch: B genotypes.
        num_genes: N.
    """
    size = max(1, ROWS_AT_A_TIME // num_genes)
    if len(batch) <= size:
        return encode(batch)
    parts = [batch[slice(start, start + size)] for start in range(0, len(batch), size)]
    if not torch.is_grad_enabled():
        return torch.cat([encode(part) for part in parts])
    return torch.cat([checkpoint(encode, part, use_reentrant=False) for part in parts])
