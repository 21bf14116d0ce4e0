"""Configuration of :class:`gisearch.models.hetero_cell.HeteroCell`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.hetero.config import HeadConfig, HeteroModelConfig

if TYPE_CHECKING:
    from gisearch.models.hetero_cell import HeteroCell

PerturbedName = Literal["genes", "literal"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HeteroCellConfig(HeteroModelConfig):
    """Configuration of :class:`HeteroCell`.

    Attributes:
        name: tells the models apart.
        perturbed: what is pooled for the interaction: ``genes``, the deleted genes' own embeddings, or
            ``literal``, one copy of z_w per deleted gene as in the notes, which tells no genes apart.
        interaction_head: the head that predicts the interaction.
    """

    name: Literal["hetero_cell"] = "hetero_cell"
    perturbed: PerturbedName = "genes"
    interaction_head: HeadConfig = Field(default_factory=HeadConfig)

    def build(self, cell: CellGraph, target: Target) -> HeteroCell:
        """Build the model on a cell graph.

        Raises:
            DataError: the cell graph lacks metabolism or a network.
        """
        from gisearch.models.hetero_cell import HeteroCell

        return HeteroCell(cell, target, self)
