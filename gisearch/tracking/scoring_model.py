"""A trained model in a folder of its own: genes in, scores out, without the data it was trained on.

The folder holds the checkpoint, the cell graph and the target, as tensors, arrays and plain values: nothing
in it can run code when it is read. MLflow reads it through :func:`_load_pyfunc`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.data.cache import load_cell, save_cell
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset, LoadReport, Target
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import MAX_DELETIONS, Genotypes
from gisearch.data.queries import SCORE_COLUMNS, deleted_genes
from gisearch.data.sources.gene_columns import find_gene_columns
from gisearch.errors import CheckpointError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from gisearch.training.experiment import TrainedModel

CELL, TARGET = "cell.npz", "target.json"


@dataclass(frozen=True)
class ScoringModel:
    """A trained model that takes genes by name.

    Attributes:
        trained: the model with the scale of its predictions.
        names: the genes it knows.
    """

    trained: TrainedModel
    names: GeneNames

    def predict(self, table: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score genotypes; the signature is MLflow's.

        Args:
            table: columns gene1, gene2 and gene3 (the last two may be missing): systematic or standard
                names, empty or missing for fewer deletions. Further columns are ignored.
            params: not used.

        Returns:
            ``score`` in the label's units (for a binary target the probability of 1), and ``std`` where the
            model has one; float64, with the rows of ``table``.

        Raises:
            DataError: a column is missing, a gene is unknown or repeated, or a row has none.
        """
        import pandas as pd

        from gisearch.models.batch import GenotypeBatch

        scores = self.trained.predict(GenotypeBatch.from_table(self._genotypes(table)))
        columns = {
            name: v.double().numpy() for name, v in zip(SCORE_COLUMNS, scores, strict=True) if v is not None
        }
        return pd.DataFrame(columns, index=table.index)

    def _genotypes(self, table: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Return deleted gene indices, int64 [n, 3], ascending and padded with -1."""
        places = find_gene_columns([str(name) for name in table.columns], "the table")
        given = table.iloc[:, places].astype(object)
        given = given.where(given.notna(), "").astype(str)
        result = np.full((len(table), MAX_DELETIONS), -1, dtype=np.int64)
        for i, row in enumerate(given.itertuples(index=False)):
            genes = deleted_genes(row, self.names, f"row {i}")
            result[i, : len(genes)] = genes
        return result


def save_scoring_model(source: Path, target: Path, dataset: Dataset) -> None:
    """Copy the best model in the run folder ``source``, and what it needs to score, to the folder ``target``.

    Raises:
        CheckpointError: the run has no model.
        DataError: the folder cannot be written.
        OSError: the same, for the checkpoint.
    """
    from gisearch.training.cells import cell_of
    from gisearch.training.checkpoint import BEST
    from gisearch.training.config import CONFIG_FILE, load_config

    target.mkdir(parents=True, exist_ok=True)
    for name in (BEST, CONFIG_FILE):
        if not (source / name).is_file():
            raise CheckpointError(f"no trained model in {source}: {name} is missing.")
        shutil.copyfile(source / name, target / name)
    nothing = Genotypes(np.zeros(0, np.int64), np.zeros(1, np.int64))
    # With what was derived from the labels, which the folder does not hold.
    cell = cell_of(load_config(target / CONFIG_FILE), dataset)
    save_cell(target / CELL, cell, nothing, LoadReport())
    facts = {"name": dataset.target.name, "kind": dataset.target.kind}
    (target / TARGET).write_text(json.dumps(facts), encoding="utf-8")


def load_scoring_model(folder: Path, shared: CellGraph | None = None) -> ScoringModel:
    """Read what :func:`save_scoring_model` wrote; a model trained on a GPU runs without one too.

    Args:
        folder: holds the model.
        shared: the cell graph of a folder that has none of its own, as a member of an ensemble.

    Raises:
        CheckpointError: the checkpoint cannot be read, or its weights do not fit.
        DataError: the cell graph or the target cannot be read.
    """
    from gisearch.training.checkpoint import BEST, CheckpointStore
    from gisearch.training.experiment import restore

    own = folder / CELL
    cell = load_cell(own)[0] if shared is None or own.is_file() else shared
    try:
        target = Target(**json.loads((folder / TARGET).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{folder / TARGET}: not a readable target ({error}).") from None
    trained = restore(CheckpointStore(folder).load(BEST), cell, target, folder)
    config = trained.config
    anywhere = replace(config, trainer=replace(config.trainer, device="auto"))
    return ScoringModel(replace(trained, config=anywhere), cell.names)


def _load_pyfunc(data_path: str) -> ScoringModel:
    """Load the model for MLflow, which calls this by its name."""
    return load_scoring_model(Path(data_path))
