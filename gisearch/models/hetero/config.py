"""Configurations that HeteroCell and HeteroCellBipartite share, without PyTorch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Target
from gisearch.data.metabolism import Metabolism
from gisearch.errors import DataError
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.layers.config import GeneInputsConfig, require_heads_divide
from gisearch.models.losses.config import CompositeLossConfig

HeteroPerturbationName = Literal["index", "masked"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HeteroEncoderConfig(GeneInputsConfig):
    """How the cell's genes, reactions and metabolites are encoded.

    Attributes:
        inputs: what genes start with (see :class:`GeneInputsConfig`); reactions and metabolites have
            embeddings.
        features: see there.
        networks: the gene networks to use, by name; None takes all that the data has.
        num_layers: rounds of message passing.
        num_heads: attention heads; must divide the hidden width.
        degrees: add a linear map of each gene's log degrees to its embedding; attention, a mean, cannot see
            how many neighbours a gene has.
        dropout: dropout on every layer's update.
        embedding_dropout: share of the genes whose own embedding is left out of a training step; a gene
            that no training genotype deletes has learnt none that says anything.
    """

    networks: Annotated[list[str], Field(min_length=1)] | None = None
    num_layers: int = Field(default=2, ge=1, le=8)
    num_heads: int = Field(default=4, ge=1, le=64)
    degrees: bool = True
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    embedding_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    def check(self, cell: CellGraph) -> tuple[tuple[Network, ...], Metabolism]:
        """Return the networks and the metabolism to encode with.

        Raises:
            DataError: the cell graph has no metabolism, no network, or lacks one that is named; or the same
                of gene features.
        """
        self.check_inputs(cell)
        networks = cell.require(self.networks)
        if cell.metabolism is None:
            raise DataError(
                "the data has no metabolism, which this model encodes; expected data=demo, data=yeast with "
                "data.metabolism=true and yeast-GEM in data.root, or data=tables with data.metabolism=FILE."
            )
        return networks, cell.metabolism


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HeadConfig:
    """A head: an MLP with one output.

    Attributes:
        num_layers: linear layers of the MLP.
        dropout: dropout on its input and between the layers.
    """

    num_layers: int = Field(default=2, ge=1, le=6)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HeteroModelConfig(BaseModelConfig):
    """What both models configure.

    Attributes:
        hidden_dim: the width h of every embedding.
        perturbation: ``index`` encodes the wild type once and pools without what a genotype lost; ``masked``
            encodes a copy of the whole graph per genotype.
        encoder: the encoder of genes, reactions and metabolites.
        fitness_head: the head that predicts fitness.
        losses: what is added to the error.
    """

    hidden_dim: int = Field(default=64, ge=4, le=4096)
    perturbation: HeteroPerturbationName = "index"
    encoder: HeteroEncoderConfig = Field(default_factory=HeteroEncoderConfig)
    fitness_head: HeadConfig = Field(default_factory=HeadConfig)
    losses: CompositeLossConfig = Field(default_factory=CompositeLossConfig)

    def __post_init__(self) -> None:
        require_heads_divide(self.hidden_dim, "encoder.num_heads", self.encoder.num_heads)

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where the cell graph lacks metabolism, a network or gene features."""
        self.encoder.check(cell)
