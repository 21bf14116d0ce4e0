"""Configuration of :class:`gisearch.models.additive.AdditiveEffects`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.layers.config import GeneInputsConfig

if TYPE_CHECKING:
    from gisearch.models.additive import AdditiveEffects


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdditiveEffectsConfig(GeneInputsConfig, BaseModelConfig):
    """Configuration of :class:`AdditiveEffects`.

    Attributes:
        name: tells the models apart.
        inputs: where genes' effects come from (see
            :class:`gisearch.models.layers.config.GeneInputsConfig`).
        features: see there.
    """

    name: Literal["additive"] = "additive"

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where the cell graph lacks gene features that the configuration asks for."""
        self.check_inputs(cell)

    def build(self, cell: CellGraph, target: Target) -> AdditiveEffects:
        """Build the model for the genes of a cell graph; its networks are not used.

        Raises:
            DataError: the cell graph lacks gene features that the configuration asks for.
        """
        from gisearch.models.additive import AdditiveEffects

        return AdditiveEffects(cell, self)
