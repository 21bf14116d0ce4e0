"""The numbers of the masked copies, from the rows that differ from the wild type's."""

from __future__ import annotations

import weakref

from torch import Tensor

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.changes import ChangePlanner
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.perturbation.interface import PerturbationEncoding, PerturbedCells, in_parts
from gisearch.models.layers.pooling import AttentionalPooling, ChangedGenes
from gisearch.models.layers.stages import StageMonitor


class ExactEncoding(PerturbationEncoding):
    """Encodes the wild type once, and per genotype only what its deletions reach.

    A layer changes a gene only next to one that changed before, so after one layer a few percent of all
    (gene, genotype) rows differ from the wild type's. Those are recomputed; sums over neighbours and over
    the whole cell are the wild type's, corrected.
    """

    def __init__(self) -> None:
        self._planner: ChangePlanner | None = None
        self._encoder: weakref.ref[Encoder] | None = None

    def __getstate__(self) -> dict[str, None]:
        return {"_planner": None, "_encoder": None}

    def __call__(
        self, encoder: Encoder, pooling: AttentionalPooling, batch: GenotypeBatch, monitor: StageMonitor
    ) -> PerturbedCells:
        """Encode the wild type, then every genotype's changes to it."""
        planner = self._planner_of(encoder)
        genes = encoder(monitor, keep=True)

        def difference(part: GenotypeBatch) -> Tensor:
            plan = planner.plan(part, len(encoder.layers))
            values = genes.embeddings[:0]
            for layer, wild, changes in zip(encoder.layers, genes.layers, plan, strict=True):
                values = layer.changed(wild, values, changes)
            changed = ChangedGenes(encoder.norm(values), plan[-1].gene, plan[-1].genotype)
            pooled: Tensor = pooling(genes.embeddings, part.deleted, part.present, changed).difference
            return pooled

        return PerturbedCells(
            wild_type=pooling.wild_type(genes.embeddings),
            difference=monitor.watch("pooling", in_parts(difference, batch, encoder.neighbours.num_genes)),
            deleted=genes.embeddings[batch.deleted],
            attention=genes.attention,
        )

    def _planner_of(self, encoder: Encoder) -> ChangePlanner:
        # The networks as the planner needs them are made once, from the encoder that is seen first.
        if self._planner is None or self._encoder is None or self._encoder() is not encoder:
            layer = encoder.layers[0]
            self._planner = ChangePlanner(
                encoder.neighbours,
                layer.convolution.needs,
                summed=layer.aggregation.is_sum,
                residual=layer.gain is not None,
            )
            self._encoder = weakref.ref(encoder)
        return self._planner
