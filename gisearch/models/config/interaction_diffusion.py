"""Configuration of :class:`gisearch.models.interaction_diffusion.InteractionDiffusion`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig

if TYPE_CHECKING:
    from gisearch.models.interaction_diffusion import InteractionDiffusion

WalksName = Literal["odd", "even", "both"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InteractionDiffusionConfig(BaseModelConfig):
    """Configuration of :class:`InteractionDiffusion`.

    Attributes:
        name: tells the models apart.
        walks: which walks count: of ``odd`` length (sinh), of ``even`` length (cosh), or both with a weight
            each.
        beta: how far interactions diffuse: a walk of length k counts beta^k / k!.
        longest_walk: the longest walks that count, in edges; None counts all.
        signed: whether an edge's weight is how far its label lies above or below the training mean; otherwise
            negative interactions alone are edges, as in the paper: labels of 1, or values below that mean.
        network_weight: how much of its neighbours' place in the interactions a gene takes over; 0 leaves the
            networks out, as in the paper, and then nothing is known of a gene without training interactions.
        hops: how far that reaches in the networks, in edges.
        networks: names of the networks; None takes all that the data has.
        folds: parts of the training split, each scored from the others to fit the scores' scale.
    """

    name: Literal["interaction_diffusion"] = "interaction_diffusion"
    walks: WalksName = "odd"
    beta: float = Field(default=4.0, gt=0.0, le=30.0)
    longest_walk: int | None = Field(default=None, ge=1, le=1000)
    signed: bool = True
    network_weight: float = Field(default=0.5, ge=0.0, lt=1.0)
    hops: int = Field(default=3, ge=1, le=16)
    networks: list[str] | None = Field(default=None, min_length=1)
    folds: int = Field(default=5, ge=2, le=100)

    @property
    def reads_derived(self) -> bool:
        """No: it compares the training labels by the data's own networks."""
        return False

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where a network that the configuration names is not in the cell graph."""
        cell.select(self.networks)

    def build(self, cell: CellGraph, target: Target) -> InteractionDiffusion:
        """Build the model on a cell graph, before it has seen an interaction.

        Raises:
            DataError: a network that the configuration names is not in the cell graph.
        """
        from gisearch.models.interaction_diffusion import InteractionDiffusion

        return InteractionDiffusion(cell, target, self)
