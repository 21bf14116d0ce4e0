"""Which cell graph an experiment's model is built on: the data's, or one with derived parts.

No PyTorch: a sweep checks every model against it before anything starts.
"""

from __future__ import annotations

from collections import OrderedDict

from gisearch.config import flatten, to_plain
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset
from gisearch.data.derived.derive import DerivedCells, check_derived, derive_cells, outline
from gisearch.training.config import ExperimentConfig

# Trials of one process often derive the same: what was derived last is kept.
_KEPT = 4
_derived: OrderedDict[str, DerivedCells] = OrderedDict()


def cell_of(config: ExperimentConfig, dataset: Dataset) -> CellGraph:
    """Return the cell graph to evaluate and predict with.

    Raises:
        DataError: what the configuration asks for cannot be derived from this data.
    """
    return dataset.cell if config.derived.is_off else derived_cells(config, dataset).whole


def derived_cells(config: ExperimentConfig, dataset: Dataset) -> DerivedCells:
    """Return the derived cell graphs of the whole training part and of its folds.

    Raises:
        DataError: what the configuration asks for cannot be derived from this data.
    """
    key = f"{dataset.digest()}/{sorted(flatten(to_plain(config.derived)).items(), key=lambda item: item[0])}"
    cells = _derived.pop(key, None) or derive_cells(dataset, config.derived)
    _derived[key] = cells
    while len(_derived) > _KEPT:
        _derived.popitem(last=False)
    return cells


def check_fit(config: ExperimentConfig, dataset: Dataset) -> None:
    """Check that the model and what is derived for it suit the data; nothing is derived or built.

    Raises:
        DataError: they do not.
    """
    cell = dataset.cell
    if not config.derived.is_off:
        check_derived(cell, dataset.genotypes, dataset.split.train, dataset.target, config.derived)
        cell = outline(cell, config.derived)
    config.model.check(cell, dataset.target)
