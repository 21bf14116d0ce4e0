"""Configuration of :class:`gisearch.models.hetero_cell_bipartite.HeteroCellBipartite`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.hetero.config import HeteroModelConfig
from gisearch.models.layers.config import require_heads_divide

if TYPE_CHECKING:
    from gisearch.models.hetero_cell_bipartite import HeteroCellBipartite


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InteractionPredictorConfig:
    """One layer of attention among the deleted genes, as in DANGO.

    Attributes:
        num_heads: attention heads; must divide the hidden width.
        dropout: dropout on the deleted genes' embeddings.
    """

    num_heads: int = Field(default=4, ge=1, le=64)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HeteroCellBipartiteConfig(HeteroModelConfig):
    """Configuration of :class:`HeteroCellBipartite`.

    Attributes:
        name: tells the models apart.
        interaction_predictor: what predicts the interaction.
        transition_epochs: epochs in which the loss moves from fitness to the interaction, where the
            interaction is the target and fitness is measured as well; 0 learns the interaction alone.
    """

    name: Literal["hetero_cell_bipartite"] = "hetero_cell_bipartite"
    interaction_predictor: InteractionPredictorConfig = Field(default_factory=InteractionPredictorConfig)
    transition_epochs: int = Field(default=10, ge=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        heads = self.interaction_predictor.num_heads
        require_heads_divide(self.hidden_dim, "interaction_predictor.num_heads", heads)

    def build(self, cell: CellGraph, target: Target) -> HeteroCellBipartite:
        """Build the model on a cell graph.

        Raises:
            DataError: the cell graph lacks metabolism or a network.
        """
        from gisearch.models.hetero_cell_bipartite import HeteroCellBipartite

        return HeteroCellBipartite(cell, target, self)
