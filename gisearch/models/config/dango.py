"""Configuration of :class:`gisearch.models.dango.Dango`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.layers.config import (
    GeneInputsConfig,
    HyperSAGNNConfig,
    ReconstructionConfig,
    require_heads_divide,
)

if TYPE_CHECKING:
    from gisearch.models.dango import Dango

ScheduleName = Literal["pre_then_post", "linear_until_uniform", "linear_until_flipped"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossScheduleConfig:
    """How training moves from reconstructing networks to predicting interactions.

    Attributes:
        name: ``pre_then_post`` reconstructs alone and then predicts alone, so that scores mean nothing
            before the switch; ``linear_until_uniform`` ends at half of each; ``linear_until_flipped`` ends
            at predicting alone.
        transition_epochs: epochs before the last weights hold; 0 begins with them.
    """

    name: ScheduleName = "pre_then_post"
    transition_epochs: int = Field(default=4, ge=0)

    def interaction_weight(self, epoch: int) -> float:
        """Return the weight of the interaction loss in an epoch, counted from 1."""
        if epoch > self.transition_epochs:
            return 0.5 if self.name == "linear_until_uniform" else 1.0
        passed = epoch / (self.transition_epochs + 1)
        return {
            "pre_then_post": 0.0,
            "linear_until_uniform": 0.5 * passed,
            "linear_until_flipped": passed,
        }[self.name]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DangoConfig(GeneInputsConfig, BaseModelConfig):
    """Configuration of :class:`Dango`.

    Attributes:
        name: tells the models apart.
        inputs: see :class:`gisearch.models.layers.config.GeneInputsConfig`.
        features: see there.
        networks: the gene networks to use, by name; None takes all that the data has.
        hidden_dim: the width h of every embedding.
        reconstruction: what reconstructing a network asks for.
        hypersagnn: the predictor of interactions.
        schedule: how the two losses are mixed.
    """

    name: Literal["dango"] = "dango"
    networks: Annotated[list[str], Field(min_length=1)] | None = None
    hidden_dim: int = Field(default=64, ge=4, le=4096)
    reconstruction: ReconstructionConfig = Field(default_factory=ReconstructionConfig)
    hypersagnn: HyperSAGNNConfig = Field(default_factory=HyperSAGNNConfig)
    schedule: LossScheduleConfig = Field(default_factory=LossScheduleConfig)

    def __post_init__(self) -> None:
        require_heads_divide(self.hidden_dim, "hypersagnn.num_heads", self.hypersagnn.num_heads)

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where a network or feature table that is named is not in the cell graph."""
        self.check_inputs(cell)
        self.reconstruction.check([network.name for network in cell.require(self.networks)])

    def build(self, cell: CellGraph, target: Target) -> Dango:
        """Build the model on a cell graph.

        Raises:
            DataError: a network or feature table that the configuration names is not in the cell graph.
        """
        from gisearch.models.dango import Dango

        return Dango(cell, self)
