"""Configuration of :class:`gisearch.models.bilinear.BilinearEmbedding`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.layers.config import GeneInputsConfig

if TYPE_CHECKING:
    from gisearch.models.bilinear import BilinearEmbedding


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BilinearEmbeddingConfig(GeneInputsConfig, BaseModelConfig):
    """Configuration of :class:`BilinearEmbedding`.

    Attributes:
        name: tells the models apart.
        inputs: where genes' effects and vectors come from (see
            :class:`gisearch.models.layers.config.GeneInputsConfig`).
        features: see there.
        rank: the length r of every gene's vector, and so the largest rank of the table of pair scores.
        dropout: dropout on the vectors' entries.
    """

    name: Literal["bilinear"] = "bilinear"
    rank: int = Field(default=16, ge=1, le=1024)
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where the cell graph lacks gene features that the configuration asks for."""
        self.check_inputs(cell)

    def build(self, cell: CellGraph, target: Target) -> BilinearEmbedding:
        """Build the model for the genes of a cell graph; its networks are not used.

        Raises:
            DataError: the cell graph lacks gene features that the configuration asks for.
        """
        from gisearch.models.bilinear import BilinearEmbedding

        return BilinearEmbedding(cell, self)
