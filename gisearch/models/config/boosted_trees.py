"""Configuration of :class:`gisearch.models.boosted_trees.BoostedTrees`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig

if TYPE_CHECKING:
    from gisearch.models.boosted_trees import BoostedTrees


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GrowthConfig:
    """How trees grow, and on what.

    Attributes:
        networks: names of the networks that features come from; None takes all that the data has.
        features: names of the tables of gene features to use; None takes all that the data has, and an empty
            list none.
        trees_per_epoch: trees added in every epoch; ``trainer.max_epochs`` times as many in all.
        learning_rate: how much of a tree's correction is taken.
        max_leaf_nodes: leaves of a tree at most.
        min_samples_leaf: training genotypes in a leaf at least.
        l2_regularization: pulls the values of leaves with few genotypes towards zero.
        max_features: share of the features that a split may choose from, drawn anew for each.
    """

    networks: list[str] | None = Field(default=None, min_length=1)
    features: list[str] | None = None
    trees_per_epoch: int = Field(default=10, ge=1, le=1000)
    learning_rate: float = Field(default=0.05, gt=0.0, le=1.0)
    max_leaf_nodes: int = Field(default=31, ge=2, le=1024)
    min_samples_leaf: int = Field(default=20, ge=1)
    l2_regularization: float = Field(default=0.0, ge=0.0)
    max_features: float = Field(default=1.0, gt=0.0, le=1.0)

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where a network or feature table that is named is not in the cell graph."""
        cell.select(self.networks)
        cell.select_features(self.features)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BoostedTreesConfig(GrowthConfig, BaseModelConfig):
    """Configuration of :class:`BoostedTrees`.

    Attributes:
        name: tells the models apart.
    """

    name: Literal["boosted_trees"] = "boosted_trees"

    def build(self, cell: CellGraph, target: Target) -> BoostedTrees:
        """Build the model on a cell graph, without trees.

        Raises:
            DataError: a network or feature table that the configuration names is not in the cell graph.
        """
        from gisearch.models.boosted_trees import BoostedTrees

        return BoostedTrees(cell, target, self)
