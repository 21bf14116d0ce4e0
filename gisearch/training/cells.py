"""Which cell graph an experiment's model is built on: the data's, or one with derived parts.

No PyTorch: a sweep checks every model against it before anything starts.
"""

from __future__ import annotations

import json

from gisearch.config import to_plain
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset
from gisearch.data.derived.derive import DerivedCells, check_derived, derive_cells, outline
from gisearch.data.derived.recent import Recent
from gisearch.training.config import ExperimentConfig

# Trials of one process often derive the same.
_derived = Recent[DerivedCells](4)


def cell_of(config: ExperimentConfig, dataset: Dataset) -> CellGraph:
    """Return the cell graph to evaluate and predict with.

    Raises:
        DataError: what the configuration asks for cannot be derived from this data.
    """
    return derived_cells(config, dataset).whole if is_derived(config) else dataset.cell


def is_derived(config: ExperimentConfig) -> bool:
    """Return whether the model is built on a cell graph with derived parts."""
    return config.model.reads_derived and not config.derived.is_off


def derived_cells(config: ExperimentConfig, dataset: Dataset) -> DerivedCells:
    """Return the derived cell graphs of the whole training part and of its folds.

    Raises:
        DataError: what the configuration asks for cannot be derived from this data.
    """
    key = dataset.digest(), json.dumps(to_plain(config.derived), sort_keys=True)
    return _derived.get(key, lambda: derive_cells(dataset, config.derived))


def check_fit(config: ExperimentConfig, dataset: Dataset) -> None:
    """Check that the model and what is derived for it suit the data; nothing is derived or built.

    Raises:
        DataError: they do not.
    """
    cell = dataset.cell
    if is_derived(config):
        check_derived(cell, dataset.genotypes, dataset.split.train, dataset.target, config.derived)
        cell = outline(cell, config.derived)
    config.model.check(cell, dataset.target)
