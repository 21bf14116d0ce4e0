"""Configuration of :class:`gisearch.models.additive.AdditiveEffects`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig

if TYPE_CHECKING:
    from gisearch.models.additive import AdditiveEffects


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdditiveEffectsConfig(BaseModelConfig):
    """Configuration of :class:`AdditiveEffects`, which has no options of its own.

    Attributes:
        name: tells the models apart.
    """

    name: Literal["additive"] = "additive"

    def build(self, cell: CellGraph, target: Target) -> AdditiveEffects:
        """Build the model for the genes of a cell graph; its networks are not used."""
        from gisearch.models.additive import AdditiveEffects

        return AdditiveEffects(cell.num_genes)
