"""Configuration of :class:`gisearch.models.bilinear.BilinearEmbedding`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig

if TYPE_CHECKING:
    from gisearch.models.bilinear import BilinearEmbedding


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BilinearEmbeddingConfig(BaseModelConfig):
    """Configuration of :class:`BilinearEmbedding`.

    Attributes:
        name: tells the models apart.
        rank: the length r of every gene's vector, and so the largest rank of the table of pair scores.
        dropout: dropout on the vectors' entries.
    """

    name: Literal["bilinear"] = "bilinear"
    rank: int = Field(default=16, ge=1, le=1024)
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)

    def build(self, cell: CellGraph, target: Target) -> BilinearEmbedding:
        """Build the model for the genes of a cell graph; its networks are not used."""
        from gisearch.models.bilinear import BilinearEmbedding

        return BilinearEmbedding(cell.num_genes, self)
