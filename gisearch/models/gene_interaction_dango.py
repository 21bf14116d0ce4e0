"""GeneInteractionDango: many networks, a local and a global pathway.

The encoder turns the wild type's genes into embeddings. The local pathway asks how the deleted genes'
embeddings act together (HyperSAGNN); the global pathway asks what their loss changes in the pooled cell
(z_p = z_w - z_i). A gate, or a fixed half of each, combines the two scores.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.gene_interaction_dango import GeneInteractionDangoConfig
from gisearch.models.layers.bilinear import BilinearPairs, BilinearTables
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.hypersagnn import HyperSAGNN
from gisearch.models.layers.hypersagnn_tables import HyperSAGNNTables
from gisearch.models.layers.mlp import mlp, robust_init
from gisearch.models.layers.perturbation import PerturbedCells, perturbation_encoding
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.pooling_tables import PoolingTables


class GeneInteractionDango(Model):
    """Scores genotypes by a local and a global pathway on multi-network gene embeddings."""

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
            if config.combination == "gating":
                self.gate = mlp([2, width // 2, 2])
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
        if self.local_predictor is None:
            details["gate_weights"] = torch.ones_like(global_score)
            return Prediction(global_score, details=details)
        local_score = self.monitor.watch(
            "local_predictor", self.local_predictor(cells.deleted, batch.present)
        )
        score, weights = self._combine(local_score, global_score)
        self.monitor.watch("combination", score)
        details |= {"local_interaction": local_score, "gate_weights": weights}
        return Prediction(score, details=details)

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
            global_score: Tensor = rest_of_global(first_of_global(deleted) + first.bias).squeeze(-1)
            if local is None:
                return global_score
            return self._combine(local(deleted), global_score)[0]

        return Scorer(score)

    def _combine(self, local_score: Tensor, global_score: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the two scores, [B], and their weights, [B, 2]."""
        scores = torch.stack([local_score, global_score], dim=-1)
        weights = torch.full_like(scores, 0.5)
        if self.gate is not None:
            weights = torch.softmax(self.gate(scores), dim=-1)
        return (weights * scores).sum(-1), weights

    def embed(self, batch: GenotypeBatch) -> PerturbedCells:
        """Return the embeddings that the two pathways read."""
        return self.encode(self.encoder, self.pooling, batch, self.monitor)
