"""Perturbation encoding: from the wild type to what each genotype's deletions change.

Every encoding has one interface, so that a model never asks which one it got.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.stages import StageMonitor

PerturbationName = Literal["index"]


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


class PerturbationEncoding(ABC):
    """Encodes a batch of genotypes on one cell graph."""

    @abstractmethod
    def __call__(
        self, encoder: Encoder, pooling: AttentionalPooling, batch: GenotypeBatch, monitor: StageMonitor
    ) -> PerturbedCells:
        """Encode the wild type and every genotype of ``batch``."""


class IndexEncoding(PerturbationEncoding):
    """Encode the wild type once; read deleted genes by index and pool without them.

    The strategy of DANGO (Zhang et al. 2020): N gene encodings per step instead of B * N.
    """

    def __call__(
        self, encoder: Encoder, pooling: AttentionalPooling, batch: GenotypeBatch, monitor: StageMonitor
    ) -> PerturbedCells:
        """Encode the wild type once and index into it."""
        genes = encoder(monitor)
        pooled = pooling(genes.embeddings, batch.deleted, batch.present)
        monitor.watch("pooling", pooled.difference)
        return PerturbedCells(
            wild_type=pooled.wild_type,
            difference=pooled.difference,
            deleted=genes.embeddings[batch.deleted],
            attention=genes.attention,
        )


def perturbation_encoding(name: PerturbationName) -> PerturbationEncoding:
    """Return the encoding called ``name``."""
    return {"index": IndexEncoding}[name]()
