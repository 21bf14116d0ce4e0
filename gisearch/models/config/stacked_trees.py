"""Configuration of :class:`gisearch.models.stacked_trees.StackedTrees`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.config.boosted_trees import GrowthConfig
from gisearch.models.config.kernel import KernelConfig

if TYPE_CHECKING:
    from gisearch.models.stacked_trees import StackedTrees


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StackedTreesConfig(GrowthConfig, BaseModelConfig):
    """Configuration of :class:`StackedTrees`.

    Attributes:
        name: tells the models apart.
        kernel: the kernel model whose score, and whose similarity of genes, the trees start from.
        network_features: whether trees also see what those of :class:`BoostedTrees` see: degrees, common
            neighbours and gene features, as ``networks`` and ``features`` say.
        folds: parts of the training genotypes, each of which the kernel describes without its labels.
    """

    name: Literal["stacked_trees"] = "stacked_trees"
    kernel: KernelConfig = Field(default_factory=KernelConfig)
    network_features: bool = True
    folds: int = Field(default=5, ge=2, le=50)
    trees_per_epoch: int = Field(default=10, ge=1, le=1000)
    learning_rate: float = Field(default=0.03, gt=0.0, le=1.0)
    max_leaf_nodes: int = Field(default=8, ge=2, le=1024)
    l2_regularization: float = Field(default=5.0, ge=0.0)
    max_features: float = Field(default=0.3, gt=0.0, le=1.0)

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where a network or feature table that is named is not in the cell graph."""
        super().check(cell, target)
        self.kernel.check_genes(cell, "model.kernel")

    def build(self, cell: CellGraph, target: Target) -> StackedTrees:
        """Build the model on a cell graph, without trees.

        Raises:
            DataError: a network or feature table that the configuration names is not in the cell graph.
        """
        from gisearch.models.stacked_trees import StackedTrees

        self.check(cell, target)
        return StackedTrees(cell, target, self)
