"""Configuration of :class:`gisearch.models.gene_interaction_dango.GeneInteractionDango`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.layers.config import (
    EncoderConfig,
    EvidencePredictorConfig,
    LocalPredictorConfig,
    PerturbationName,
    require_heads_divide,
)

if TYPE_CHECKING:
    from gisearch.models.gene_interaction_dango import GeneInteractionDango

CombinationName = Literal["gating", "concat"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GlobalPredictorConfig:
    """The global pathway: an MLP on z_p.

    Attributes:
        num_layers: linear layers of the MLP.
        dropout: dropout on z_p and between the layers.
    """

    num_layers: int = Field(default=2, ge=1, le=6)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GeneInteractionDangoConfig(BaseModelConfig):
    """Configuration of :class:`GeneInteractionDango`.

    Attributes:
        name: tells the models apart.
        hidden_dim: the width h of every embedding.
        perturbation: how deletions are encoded.
        encoder: the gene encoder.
        local_predictor: the local pathway.
        global_predictor: the global pathway.
        evidence_predictor: the evidence pathway, of training labels that derived networks hold.
        combination: how the pathways' scores become one; ``concat`` is the notes' name for their mean.
    """

    name: Literal["dango_gi"] = "dango_gi"
    hidden_dim: int = Field(default=64, ge=4, le=4096)
    perturbation: PerturbationName = "index"
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    local_predictor: LocalPredictorConfig = Field(default_factory=LocalPredictorConfig)
    global_predictor: GlobalPredictorConfig = Field(default_factory=GlobalPredictorConfig)
    evidence_predictor: EvidencePredictorConfig = Field(default_factory=EvidencePredictorConfig)
    combination: CombinationName = "gating"

    def __post_init__(self) -> None:
        require_heads_divide(self.hidden_dim, "encoder.num_heads", self.encoder.num_heads)
        if self.local_predictor.enabled and self.local_predictor.scorer == "hypersagnn":
            require_heads_divide(self.hidden_dim, "local_predictor.num_heads", self.local_predictor.num_heads)

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where the cell graph lacks a network that the configuration asks for."""
        self.encoder.check(cell)
        if self.evidence_predictor.enabled:
            self.evidence_predictor.check(cell)

    def build(self, cell: CellGraph, target: Target) -> GeneInteractionDango:
        """Build the model on a cell graph.

        Raises:
            DataError: a network that the configuration asks for is not in the cell graph.
        """
        from gisearch.models.gene_interaction_dango import GeneInteractionDango

        return GeneInteractionDango(cell, self)
