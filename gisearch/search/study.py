"""The study of a sweep: where it is kept, opened and found again."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from gisearch.errors import ConfigError, disk_full
from gisearch.search.pareto import directions_of, keep_objectives
from gisearch.training.objective import Objective

STUDY_FILE = "study.journal"


class _OnlyWriter(JournalFileOpenLock):
    """No lock: the process that holds the sweep's folder is the only one that writes.

    Optuna's are links or files beside the journal: some file systems lack them, killed processes leave them.
    """

    def acquire(self) -> bool:
        """Go ahead."""
        return True

    def release(self) -> None:
        """There is nothing to release."""


class Journal(JournalFileBackend):
    """A journal file that stays readable when its disk is full or its writer is killed in mid-line.

    Optuna reads past half a line at the end, but appends the next one to it, and from then on refuses the
    whole file. Here a line that cannot be written is taken back, and one that a killed process left is cut.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        super().__init__(str(self.path), lock_obj=_OnlyWriter(str(self.path)))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, all or none.

        Raises:
            DiskFullError: there is no space left; the file is as it was.
        """
        size = self.path.stat().st_size
        try:
            super().append_logs(logs)
        except OSError as error:
            os.truncate(self.path, size)
            if full := disk_full(self.path, error):
                raise full from None
            raise

    def mend(self) -> None:
        """Take back what a process left that was killed while it wrote; nobody else may be writing."""
        # Of an earlier version, or of another program that wrote to the journal.
        with suppress(FileNotFoundError):
            self.path.with_name(f"{self.path.name}.lock").unlink()
        whole = _whole_lines(self.path)
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)


def open_study(folder: Path, name: str, objective: Objective) -> optuna.Study:
    """Open or create the study of the sweep in ``folder``, of which this process is the only writer.

    The study that the journal holds is the sweep's, whatever it or the folder is called by now.

    A journal file: one appended line per change, an order of magnitude faster than a database, and readable
    by other processes and by optuna-dashboard while the sweep runs.

    Raises:
        ConfigError: the study was started with other objectives.
        DiskFullError: there is no space left.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = Journal(folder / STUDY_FILE)
    journal.mend()
    directions = directions_of(objective)
    storage = JournalStorage(journal)
    known = optuna.get_all_study_names(storage)
    study = optuna.create_study(
        storage=storage, study_name=[*known, name][0], directions=directions, load_if_exists=True
    )
    keep_objectives(study, objective)
    return study


def load_study(folder: Path) -> optuna.Study:
    """Open the study of an existing sweep, to read it; nothing is written.

    Raises:
        ConfigError: the folder holds no sweep.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / STUDY_FILE
    if not path.is_file():
        raise ConfigError(f"{folder} holds no sweep: it has no {STUDY_FILE}.")
    storage = JournalStorage(Journal(path))
    names = optuna.get_all_study_names(storage)
    if not names:
        raise ConfigError(f"{path} holds no study: the sweep never started a trial.")
    return optuna.load_study(study_name=names[0], storage=storage)


def copy_result(study: optuna.Study, trial: optuna.Trial, original: int) -> None:
    """End a trial with the values, at every epoch and at its end, of another that has ended."""
    storage = trial.storage
    source = storage.get_trial(storage.get_trial_id_from_study_id_trial_number(study._study_id, original))
    for step, value in source.intermediate_values.items():
        set_intermediate_value(trial, step, value)
    if source.state == TrialState.COMPLETE:
        study.tell(trial, source.values)
    else:
        study.tell(trial, state=source.state)


def set_intermediate_value(trial: optuna.Trial, epoch: int, value: float) -> None:
    """Report a trial's value at an epoch."""
    # Trial.report refuses studies of several objectives; their storage does not.
    trial.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)


def _whole_lines(path: Path) -> int:
    """Return the length of a file up to its last line break."""
    step = 1 << 16
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - step)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
