"""Encode the wild type once; read deleted genes by index and pool without them."""

from __future__ import annotations

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.perturbation.interface import PerturbationEncoding, PerturbedCells
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.stages import StageMonitor


class IndexEncoding(PerturbationEncoding):
    """The strategy of DANGO (Zhang et al. 2020): N gene encodings per step instead of B * N."""

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
