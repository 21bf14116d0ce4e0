"""An ensemble in a folder of its own: genes in, scores and their standard deviations out.

The folder holds the list of members with their weights, and each member as
:mod:`gisearch.tracking.scoring_model` writes it; a cell graph that all of them share lies beside them, once.
MLflow reads it through :func:`_load_pyfunc`.
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gisearch.data.cache import load_cell
from gisearch.data.dataset import Dataset
from gisearch.tracking.scoring_model import CELL, ScoringModel, load_scoring_model, save_scoring_model


@dataclass(frozen=True)
class MemberRun:
    """A member of an ensemble.

    Attributes:
        run: the run folder that holds its ``best.pt`` and ``config.yaml``.
        weight: what it weighs.
    """

    run: Path
    weight: float


def save_scoring_ensemble(members: Mapping[str, MemberRun], target: Path, dataset: Dataset) -> None:
    """Copy the members' best models, and what they need to score, to the folder ``target``.

    Args:
        members: by the name of the folder that each gets; their weights sum to 1.
        target: the folder.
        dataset: what the members were trained on.

    Raises:
        CheckpointError: a run has no model.
        GisearchError: the folder cannot be written.
        OSError: the same, for a checkpoint.
    """
    # Imports PyTorch.
    from gisearch.training.ensemble import write_members

    target.mkdir(parents=True, exist_ok=True)
    for i, (name, member) in enumerate(members.items()):
        save_scoring_model(member.run, target / name, dataset)
        own = target / name / CELL
        if i == 0:
            shutil.copyfile(own, target / CELL)
        # A cell of millions of edges need not be there for every member.
        if filecmp.cmp(own, target / CELL, shallow=False):
            own.unlink()
    write_members(target, {name: member.weight for name, member in members.items()})


def load_scoring_ensemble(folder: Path) -> ScoringModel:
    """Read what :func:`save_scoring_ensemble` wrote.

    Raises:
        CheckpointError: the list of members or a checkpoint cannot be read, or its weights do not fit.
        DataError: a cell graph or the target cannot be read.
    """
    # Imports PyTorch.
    from gisearch.training.ensemble import combine, read_members

    members = read_members(folder)
    shared = load_cell(folder / CELL)[0]
    loaded = [load_scoring_model(member, shared) for member in members]
    trained = combine([one.trained for one in loaded], list(members.values()))
    return ScoringModel(trained, loaded[0].names)


def _load_pyfunc(data_path: str) -> ScoringModel:
    """Load the model for MLflow, which calls this by its name."""
    return load_scoring_ensemble(Path(data_path))
