"""Training runs and trained models by name: where they lie, and what configuration they have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gisearch.command_line import pasteable
from gisearch.composition import parse_overrides, text_kept
from gisearch.config import assign, build, flatten, to_plain
from gisearch.errors import ConfigError, nearest_name
from gisearch.files import local_path
from gisearch.search.composing import compose_experiment
from gisearch.search.config import SweepConfig
from gisearch.search.folders import (
    BEST_FOLDER,
    ENSEMBLE_FOLDER,
    MODEL_DATA,
    MODEL_FOLDER,
    TRIALS_FOLDER,
    find_results,
    find_run,
    numbered_folder,
    trial_folder,
)
from gisearch.training.checkpoint import BEST
from gisearch.training.config import CONFIG_FILE, MEMBERS_FILE, ExperimentConfig, load_config

# Keys of the configuration that are about a run and not about its numbers.
_RUN_KEYS = ("name", "results.", "search.")


def resolve_experiment(
    config_file: str | None, overrides: Sequence[str]
) -> tuple[ExperimentConfig, SweepConfig]:
    """Return an experiment, and the configuration with its run's name, results folder and resources.

    Args:
        config_file: a ``config.yaml`` of a trial or training run; None composes from ``conf/``.
        overrides: overrides of either.

    Raises:
        ConfigError: the file or an override is wrong.
    """
    if config_file is None:
        return compose_experiment(["name=train", *overrides])
    about_run = [o for o in overrides if o.startswith(_RUN_KEYS)]
    _, sweep = compose_experiment(["name=train", *about_run])
    config = load_config(local_path(config_file))
    rest = [o for o in overrides if o not in about_run]
    changes = parse_overrides(text_kept(rest, ExperimentConfig))
    known = flatten(to_plain(config))
    for path in changes:
        if path not in known:
            raise ConfigError(f"unknown key {path!r} for {config_file}.{nearest_name(path, known)}")
    return build(ExperimentConfig, assign(to_plain(config), changes)), sweep


def new_run(results_dir: str, name: str) -> Path:
    """Make the folder of a new training run.

    Raises:
        ConfigError: the results folder cannot be written.
    """
    return numbered_folder(results_dir, name)


def existing_run(name: str, results_dir: str) -> tuple[Path, ExperimentConfig]:
    """Return the folder and configuration of a training run to continue.

    Raises:
        ConfigError: there is no such run.
    """
    folder = find_results(name, results_dir)
    return folder, load_config(folder / CONFIG_FILE)


def find_model(run: str, results_dir: str) -> Path:
    """Return the folder of a trained model, or of an ensemble: that of its list of members.

    Args:
        run: a sweep (its best trial), ``SWEEP/TRIAL``, ``SWEEP@ensemble``, a training run, a folder, or the
            identifier of a sweep's or a trial's run in MLflow.
        results_dir: the results folder.

    Raises:
        ConfigError: there is none, or its checkpoint has been removed.
    """
    name, _, alias = run.rpartition("@")
    if name and alias == ENSEMBLE_FOLDER:
        run = f"{name}/{ENSEMBLE_FOLDER}"
        if not _packaged(find_results(name, results_dir) / ENSEMBLE_FOLDER).is_file():
            raise ConfigError(f"{name!r} has no ensemble; make one with {pasteable('ensemble', name)}.")
    sweep, _, trial = run.strip("/").rpartition("/")
    folder: Path | None = None
    recorded = None if Path(run).is_dir() else find_run(run, results_dir)
    if recorded is not None and recorded[1] is not None:
        folder = trial_folder(recorded[0], recorded[1])
    elif sweep and trial.startswith("t") and trial[1:].isdigit() and not Path(run).is_dir():
        root = find_results(sweep, results_dir) / TRIALS_FOLDER
        folder = root / trial
        if not folder.is_dir():
            known = sorted(p.name for p in root.glob("t*"))
            raise ConfigError(f"the sweep {sweep!r} has no trial {trial!r}.{nearest_name(trial, known)}")
    else:
        found = find_results(run, results_dir)
        if _packaged(found).is_file():
            return _packaged(found).parent
        folder = found / BEST_FOLDER if (found / BEST_FOLDER).is_dir() else found
    if not (folder / BEST).is_file():
        raise ConfigError(
            f"{folder} holds no trained model ({BEST}); checkpoints of losing trials are removed "
            f"(search.keep_top), train again with {pasteable('train', '--config', folder / CONFIG_FILE)}."
        )
    return folder


def _packaged(folder: Path) -> Path:
    """Return where the folder of an ensemble has its list of members."""
    return folder / MODEL_FOLDER / MODEL_DATA / MEMBERS_FILE
