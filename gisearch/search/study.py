"""The study of a sweep: where it is kept, opened and found again."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from gisearch.errors import ConfigError
from gisearch.search.pareto import directions_of, keep_objectives
from gisearch.training.metrics import Objective

STUDY_FILE = "study.journal"


def open_study(folder: Path, name: str, objective: Objective) -> optuna.Study:
    """Open or create the study of the sweep in ``folder``.

    A journal file: one appended line per change, an order of magnitude faster than a database, safe for
    several processes, and readable by optuna-dashboard.

    Raises:
        ConfigError: the study was started with other objectives.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / STUDY_FILE)))
    directions = directions_of(objective)
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    keep_objectives(study, objective)
    return study


def load_study(folder: Path) -> optuna.Study:
    """Open the study of an existing sweep.

    Raises:
        ConfigError: the folder holds no sweep.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / STUDY_FILE
    if not path.is_file():
        raise ConfigError(f"{folder} holds no sweep: it has no {STUDY_FILE}.")
    storage = JournalStorage(JournalFileBackend(str(path)))
    names = optuna.get_all_study_names(storage)
    if not names:
        raise ConfigError(f"{path} holds no study: the sweep never started a trial.")
    return optuna.load_study(study_name=names[0], storage=storage)
