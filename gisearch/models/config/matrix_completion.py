"""Configuration of :class:`gisearch.models.matrix_completion.MatrixCompletion`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig

if TYPE_CHECKING:
    from gisearch.models.matrix_completion import MatrixCompletion


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MatrixCompletionConfig(BaseModelConfig):
    """Configuration of :class:`MatrixCompletion`; its ridge is ``optimizer.weight_decay``.

    Attributes:
        name: tells the models apart.
        networks: names of the networks that tie genes; None takes all that the data has.
        rank: the length r of every gene's vector, and so the largest rank of the completed matrix.
        tie: how much of a gene's vector is the mean of its neighbours'; 0 leaves the networks out.
        hops: how far that reaches, in edges.
        tie_effects: whether the genes' effects are tied in the same way, beside their vectors.
        dropout: dropout on the vectors' entries.
    """

    name: Literal["matrix_completion"] = "matrix_completion"
    networks: list[str] | None = Field(default=None, min_length=1)
    rank: int = Field(default=64, ge=1, le=1024)
    tie: float = Field(default=0.7, ge=0.0, lt=1.0)
    hops: int = Field(default=3, ge=1, le=16)
    tie_effects: bool = True
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)

    @property
    def reads_derived(self) -> bool:
        """No: it compares the training labels by the data's own networks."""
        return False

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where there is no network, or not one that the configuration names."""
        cell.require(self.networks)

    def build(self, cell: CellGraph, target: Target) -> MatrixCompletion:
        """Build the model on a cell graph.

        Raises:
            DataError: there is no network, or a network that the configuration names is not there.
        """
        from gisearch.models.matrix_completion import MatrixCompletion

        return MatrixCompletion(cell, self)
