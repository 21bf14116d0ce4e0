"""GeneInteractionDango: many networks, a local and a global pathway, and one of evidence.

The encoder turns the wild type's genes into embeddings. The local pathway asks how the deleted genes'
embeddings act together (HyperSAGNN); the global pathway asks what their loss changes in the pooled cell
(z_p = z_w - z_i). The evidence pathway, where it is asked for, reads no embeddings but what the labels of
similar genes tell. A gate, or their mean, combines the scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.gene_interaction_dango import GeneInteractionDangoConfig
from gisearch.models.layers.bilinear import BilinearPairs, BilinearTables
from gisearch.models.layers.config import EvidencePredictorConfig
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.evidence import PairEvidence
from gisearch.models.layers.hypersagnn import HyperSAGNN
from gisearch.models.layers.hypersagnn_tables import HyperSAGNNTables
from gisearch.models.layers.mlp import mlp, robust_init
from gisearch.models.layers.perturbation import PerturbedCells, perturbation_encoding
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.pooling_tables import PoolingTables


class GeneInteractionDango(Model):
    """Scores genotypes by pathways on multi-network gene embeddings, and on the labels of similar genes."""

    def __init__(self, cell: CellGraph, config: GeneInteractionDangoConfig) -> None:
        super().__init__()
        width = config.hidden_dim
        self.config = config
        self.num_genes = cell.num_genes
        self.encode = perturbation_encoding(config.perturbation)
        self.encoder = Encoder(cell, width, config.encoder)
        # Only z_w - z_i is read, in which a bias would cancel.
        self.pooling = AttentionalPooling(width, bias=False)
        self.global_predictor = nn.Sequential(
            nn.Dropout(config.global_predictor.dropout),
            mlp(
                [width] * config.global_predictor.num_layers + [1],
                dropout=config.global_predictor.dropout,
            ),
        )
        self.local_predictor: HyperSAGNN | BilinearPairs | None = None
        self.gate: nn.Sequential | None = None
        if config.local_predictor.enabled:
            if config.local_predictor.scorer == "bilinear":
                self.local_predictor = BilinearPairs(width, config.local_predictor.dropout)
            else:
                self.local_predictor = HyperSAGNN(width, config.local_predictor)
        self.evidence_predictor = _evidence_predictor(cell, config.evidence_predictor)
        pathways = 1 + config.local_predictor.enabled + config.evidence_predictor.enabled
        if config.combination == "gating" and pathways > 1:
            self.gate = mlp([pathways, width // 2, pathways])
        robust_init(self)

    @property
    def is_recordable(self) -> bool:
        """True with ``index``, except for GATv2, whose softmax over edges waits for the device."""
        return self.config.perturbation == "index" and self.config.encoder.convolution != "gatv2"

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""
        cells = self.encode(self.encoder, self.pooling, batch, self.monitor)
        # One gene's share of the pooled cell shrinks as 1 / N; this gives z_p the scale of one gene's
        # own embedding whatever the size of the genome, so that the pathway can learn at all.
        global_score = self.global_predictor(cells.difference * self.num_genes).squeeze(-1)
        self.monitor.watch("global_predictor", global_score)
        details: dict[str, Tensor] = {"global_interaction": global_score}
        if cells.attention is not None:
            details["network_attention"] = cells.attention
        scores = list[Tensor]()
        if self.local_predictor is not None:
            scores.append(self.local_predictor(cells.deleted, batch.present))
            details["local_interaction"] = self.monitor.watch("local_predictor", scores[-1])
        scores.append(global_score)
        if self.evidence_predictor is not None:
            scores.append(self.evidence_predictor(batch).squeeze(-1))
            details["evidence"] = self.monitor.watch("evidence_predictor", scores[-1])
        if len(scores) == 1:
            details["gate_weights"] = torch.ones_like(global_score)
            return Prediction(global_score, details=details)
        score, details["gate_weights"] = self._combine(scores)
        return Prediction(self.monitor.watch("combination", score), details=details)

    def scorer(self) -> Scorer:
        """Encode the wild type once, and make both pathways' tables.

        Only ``index`` reads nothing but the wild type; other encodings follow every genotype through the
        networks.
        """
        if self.config.perturbation != "index":
            return super().scorer()
        genes = self.encoder(self.monitor).embeddings
        # The pathway's first layer is linear in z_p as the pooling is in the genes, so that it joins them.
        _, layers = self.global_predictor
        assert isinstance(layers, nn.Sequential)
        first, rest_of_global = layers[0], layers[1:]
        assert isinstance(first, nn.Linear)
        first_of_global = PoolingTables(self.pooling, genes, first.weight * self.num_genes)
        local: HyperSAGNNTables | BilinearTables | None = None
        if isinstance(self.local_predictor, HyperSAGNN):
            local = HyperSAGNNTables(self.local_predictor, genes)
        elif self.local_predictor is not None:
            local = BilinearTables(self.local_predictor, genes)

        def score(deleted: Tensor) -> Tensor:
            scores = [] if local is None else [local(deleted)]
            scores.append(rest_of_global(first_of_global(deleted) + first.bias).squeeze(-1))
            if self.evidence_predictor is not None:
                scores.append(self.evidence_predictor(GenotypeBatch.complete(deleted)).squeeze(-1))
            return scores[0] if len(scores) == 1 else self._combine(scores)[0]

        return Scorer(score)

    def _combine(self, scores: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the pathways' scores, [B], and their weights, one column each."""
        stacked = torch.stack(list(scores), dim=-1)
        weights = torch.full_like(stacked, 1 / len(scores))
        if self.gate is not None:
            weights = torch.softmax(self.gate(stacked), dim=-1)
        return (weights * stacked).sum(-1), weights

    def embed(self, batch: GenotypeBatch) -> PerturbedCells:
        """Return the embeddings that the local and the global pathway read."""
        return self.encode(self.encoder, self.pooling, batch, self.monitor)


def _evidence_predictor(cell: CellGraph, config: EvidencePredictorConfig) -> nn.Sequential | None:
    """Return the evidence pathway, from a batch to scores [B, 1], or None where it is not asked for."""
    if not config.enabled:
        return None
    evidence = PairEvidence(cell, config.check(cell))
    widths = [evidence.width, *[config.hidden_dim] * (config.num_layers - 1), 1]
    return nn.Sequential(evidence, nn.Dropout(config.dropout), mlp(widths, dropout=config.dropout))
