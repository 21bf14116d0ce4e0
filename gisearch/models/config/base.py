"""What every model's configuration is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target

if TYPE_CHECKING:
    from gisearch.models.base import Model


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BaseModelConfig(ABC):
    """Base of the models' configurations, which are told apart by ``name``."""

    @property
    def reads_derived(self) -> bool:
        """Whether the model is given networks and features that are derived from training labels.

        One that is fitted to all labels at once, by networks that know them, would find its own among them.
        """
        return True

    def check(self, cell: CellGraph, target: Target) -> None:  # noqa: B027
        """Raise DataError where the data lacks what the model needs; builds nothing."""

    @abstractmethod
    def build(self, cell: CellGraph, target: Target) -> Model:
        """Build the model, its weights drawn from PyTorch's global generator.

        Args:
            cell: the cell graph, held once.
            target: the label that the model's scores are for.

        Raises:
            DataError: the data lacks what the model needs.
        """
