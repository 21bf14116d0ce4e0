"""What lies in the results folder, and in that of one sweep: names, facts, runs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gisearch.errors import ConfigError, nearest_name
from gisearch.files import local_path, write_whole
from gisearch.search.trial import trial_name

SWEEP_FILE = "sweep.yaml"
SPACE_FILE = "search_space.yaml"
RUNS_FILE = "mlflow_runs.json"
BEST_FOLDER = "best"
ENSEMBLE_FOLDER = "ensemble"
TRIALS_FOLDER = "trials"
# In the folder of the best trial or of an ensemble: the model as MLflow reads it, and its own files in there.
MODEL_FOLDER, MODEL_DATA = "model", "data"
_RUN_ID = re.compile(r"[0-9a-f]{32}")


def trial_folder(sweep: Path, number: int) -> Path:
    """Return the folder of a trial in that of its sweep."""
    return sweep / TRIALS_FOLDER / trial_name(number)


def read_facts(folder: Path) -> dict[str, Any]:
    """Read what a sweep noted about itself.

    Raises:
        ConfigError: the folder holds no sweep.
    """
    try:
        facts = yaml.safe_load((folder / SWEEP_FILE).read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(f"{folder} holds no sweep: it has no {SWEEP_FILE}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        facts = None
    if not isinstance(facts, dict):
        raise ConfigError(f"{folder / SWEEP_FILE} is damaged: expected a mapping.")
    return facts


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write what a sweep notes about itself; a reader sees the old file or the new one."""
    write_whole(folder / SWEEP_FILE, yaml.safe_dump(dict(facts), sort_keys=False))


def read_runs(folder: Path) -> dict[str, Any]:
    """Return a sweep's MLflow runs: ``parent``, ``children`` by trial number, the registered ``model``."""
    try:
        runs = json.loads((folder / RUNS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        runs = {}
    return {"parent": runs.get("parent"), "model": runs.get("model"), "children": runs.get("children") or {}}


def write_runs(
    folder: Path, parent: str | None, children: Mapping[int, str], model: str | None = None
) -> None:
    """Write which MLflow run belongs to which trial, and the address of the registered model."""
    runs = {"parent": parent, "model": model, "children": children}
    write_whole(folder / RUNS_FILE, json.dumps(runs, indent=1))


def check_results_dir(results_dir: str) -> Path:
    """Check that folders can be made in the results folder; returns what of its path is there already.

    Raises:
        ConfigError: the results folder cannot be written.
    """
    root = Path(results_dir).absolute()
    try:
        existing = next(path for path in (root, *root.parents) if path.exists())
        # What permissions say does not hold for everybody and everywhere, as of read-only file systems.
        with tempfile.TemporaryDirectory(dir=existing, prefix=".gisearch-"):
            return existing
    except OSError as error:
        raise ConfigError(f"results.dir: cannot write to {results_dir}: {error.strerror}.") from None


def numbered_folder(results_dir: str, name: str) -> Path:
    """Make and return a new folder in the results folder: the name, or the name with the first free number.

    Raises:
        ConfigError: the results folder cannot be written.
    """
    root, number = Path(results_dir), 1
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            folder = root / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                if not root.is_dir():
                    raise
                number += 1
                continue
            return folder
    except OSError as error:
        raise ConfigError(f"results.dir: cannot write to {root}: {error.strerror}.") from None


def latest_sweep(results_dir: str) -> Path:
    """Return the folder of the sweep that was started last.

    Raises:
        ConfigError: there is none.
    """
    root = local_path(results_dir)
    files = [*root.glob(f"*/{SWEEP_FILE}")]
    if not files:
        raise ConfigError(f"no sweep in {root}/; expected a sweep's name or folder.")
    return max(files, key=lambda file: file.stat().st_mtime).parent


def find_run(identifier: str, results_dir: str) -> tuple[Path, int | None] | None:
    """Return the sweep of an MLflow run, and the number of its trial where it is one's.

    Args:
        identifier: a run's identifier, as MLflow shows it; of anything else there is no run.
        results_dir: the results folder.
    """
    if not _RUN_ID.fullmatch(identifier):
        return None
    for file in sorted(local_path(results_dir).glob(f"*/{RUNS_FILE}")):
        runs = read_runs(file.parent)
        if runs["parent"] == identifier:
            return file.parent, None
        for number, run in runs["children"].items():
            if run == identifier:
                return file.parent, int(number)
    return None


def find_results(name: str, results_dir: str) -> Path:
    """Return the folder of a sweep or training run: its name in ``results.dir``, a path, or a run of MLflow.

    The identifier of a trial's run stands for its sweep.

    Raises:
        ConfigError: there is none; the message gives the nearest name.
    """
    root, given = local_path(results_dir), local_path(name)
    for path in (root / given, given):
        # `.` and `..` are no names in the results folder, and none to call anything after.
        if given.name in ("", ".."):
            path = given.resolve()
        if path.is_dir():
            return path
    if (run := find_run(name, results_dir)) is not None:
        return run[0]
    if _RUN_ID.fullmatch(name):
        raise ConfigError(
            f"no sweep in {root}/ has recorded the MLflow run {name}; run this in the folder that the sweep "
            "was started in, or give its results folder."
        )
    known = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    raise ConfigError(
        f"no results called {name!r} in {root}/ (it has: {', '.join(known) or 'none'})."
        f"{nearest_name(name, known)}"
    )
