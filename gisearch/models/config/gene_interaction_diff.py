"""Configuration of :class:`gisearch.models.gene_interaction_diff.GeneInteractionDiff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.diffusion.config import DenoiserConfig, ProcessConfig, SamplerConfig
from gisearch.models.layers.config import EncoderConfig, PerturbationName, require_heads_divide

if TYPE_CHECKING:
    from gisearch.models.gene_interaction_diff import GeneInteractionDiff


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GeneInteractionDiffConfig(BaseModelConfig):
    """Configuration of :class:`GeneInteractionDiff`.

    Attributes:
        name: tells the models apart.
        hidden_dim: the width h of every embedding, the denoiser's included.
        perturbation: how deletions are encoded.
        encoder: the gene encoder.
        process: the diffusion process and its loss.
        denoiser: the network that removes the noise.
        sampler: how predictions are drawn.
    """

    name: Literal["diffusion"] = "diffusion"
    hidden_dim: int = Field(default=64, ge=4, le=4096)
    perturbation: PerturbationName = "index"
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    process: ProcessConfig = Field(default_factory=ProcessConfig)
    denoiser: DenoiserConfig = Field(default_factory=DenoiserConfig)
    sampler: SamplerConfig = Field(default_factory=SamplerConfig)

    def __post_init__(self) -> None:
        require_heads_divide(self.hidden_dim, "encoder.num_heads", self.encoder.num_heads)
        require_heads_divide(self.hidden_dim, "denoiser.num_heads", self.denoiser.num_heads)
        if self.sampler.steps > self.process.steps:
            raise ValueError(
                f"sampler.steps: {self.sampler.steps} steps of a process that has {self.process.steps}; "
                "expected at most process.steps."
            )

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where a network that the configuration names is not in the cell graph."""
        self.encoder.check(cell)

    def build(self, cell: CellGraph, target: Target) -> GeneInteractionDiff:
        """Build the model on a cell graph.

        Raises:
            DataError: a network that the configuration names is not in the cell graph.
        """
        from gisearch.models.gene_interaction_diff import GeneInteractionDiff

        return GeneInteractionDiff(cell, target, self)
