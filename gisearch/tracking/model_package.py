"""The winner of a sweep, or an ensemble, as an MLflow model: what ``mlflow.pyfunc.load_model`` reads."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import gisearch
from gisearch.data.dataset import Dataset
from gisearch.data.queries import GENE_COLUMNS, SCORE_COLUMNS
from gisearch.tracking.scoring_ensemble import MemberRun, save_scoring_ensemble
from gisearch.tracking.scoring_model import save_scoring_model

_DATA = "data"
_EXAMPLE, _SERVING_EXAMPLE = "input_example.json", "serving_input_example.json"
_REQUIREMENTS, _PYTHON = "requirements.txt", "python_env.yaml"
_EXAMPLE_ROWS = 3


def package_model(run: Path, target: Path, dataset: Dataset, *, has_std: bool) -> str:
    """Write the best model of the run folder ``run`` as an MLflow model to the folder ``target``.

    Args:
        run: holds ``best.pt`` and ``config.yaml``.
        target: replaced where it exists.
        dataset: what the model was trained on.
        has_std: whether the model's scores have a standard deviation.

    Returns:
        The digest of the weights: equal for the same trained model.

    Raises:
        CheckpointError: the run has no model.
        DataError: the folder cannot be written.
        OSError: the same.
    """
    loader = "gisearch.tracking.scoring_model"
    return _package(lambda data: save_scoring_model(run, data, dataset), loader, target, dataset, has_std)


def package_ensemble(members: Mapping[str, MemberRun], target: Path, dataset: Dataset) -> str:
    """Write an ensemble as an MLflow model to the folder ``target``; its scores have a standard deviation.

    Args:
        members: by name; their weights sum to 1.
        target: replaced where it exists.
        dataset: what the members were trained on.

    Returns:
        The digest of the weights: equal for the same ensemble of the same trained models.

    Raises:
        CheckpointError: a member's run has no model.
        GisearchError: the folder cannot be written.
        OSError: the same.
    """
    loader = "gisearch.tracking.scoring_ensemble"
    return _package(
        lambda data: save_scoring_ensemble(members, data, dataset), loader, target, dataset, has_std=True
    )


def _package(save: Callable[[Path], None], loader: str, target: Path, dataset: Dataset, has_std: bool) -> str:
    """Write an MLflow model whose data ``save`` writes and the module ``loader`` reads.

    Nothing is pickled: the folder names the module, which reads the files. It is written by hand, because
    ``mlflow.pyfunc.save_model`` compares the requirements with every package that is installed, which takes
    seconds.
    """
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    save(fresh / _DATA)
    _write_environment(fresh)
    model = Model(signature=_signature(has_std), saved_input_example_info=_write_example(fresh, dataset))
    add_to_model(model, loader_module=loader, data=_DATA, python_env=_PYTHON)
    model.model_size_bytes = sum(path.stat().st_size for path in fresh.rglob("*") if path.is_file())
    model.save(str(fresh / "MLmodel"))
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    return weights_digest(target)


def weights_digest(package: Path) -> str:
    """Return a hash of the checkpoint in a packaged model; of an ensemble, of all, and of what each weighs.

    Raises:
        OSError: there is none.
    """
    from gisearch.training.checkpoint import BEST
    from gisearch.training.config import MEMBERS_FILE

    data = package / _DATA
    members = sorted(data.glob(f"*/{BEST}"))
    hasher = hashlib.blake2b(digest_size=8)
    for path in [data / MEMBERS_FILE, *members] if members else [data / BEST]:
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def _signature(has_std: bool) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    genes = [ColSpec("string", name, required=name == GENE_COLUMNS[0]) for name in GENE_COLUMNS]
    scores = [ColSpec("double", name) for name in SCORE_COLUMNS[: 2 if has_std else 1]]
    return ModelSignature(Schema(genes), Schema(scores))


def _write_example(folder: Path, dataset: Dataset) -> dict[str, str]:
    """Write a few genotypes of the validation split in MLflow's two formats; return how they are found."""
    names = dataset.cell.names.systematic
    rows = dataset.genotypes.subset(dataset.split.part("val")[:_EXAMPLE_ROWS]).padded().tolist()
    table = {
        "columns": list(GENE_COLUMNS),
        "data": [[names[gene] if gene >= 0 else "" for gene in row] for row in rows],
    }
    (folder / _EXAMPLE).write_text(json.dumps(table), encoding="utf-8")
    (folder / _SERVING_EXAMPLE).write_text(json.dumps({"dataframe_split": table}), encoding="utf-8")
    return {
        "artifact_path": _EXAMPLE,
        "type": "dataframe",
        "pandas_orient": "split",
        "serving_input_path": _SERVING_EXAMPLE,
    }


def _write_environment(folder: Path) -> None:
    """Write what the model needs to be served elsewhere: this version of gisearch, which brings the rest."""
    needed = [f"mlflow=={metadata.version('mlflow')}", f"gisearch=={gisearch.__version__}"]
    (folder / _REQUIREMENTS).write_text("\n".join(needed) + "\n", encoding="utf-8")
    python = {"python": platform.python_version(), "dependencies": [f"-r {_REQUIREMENTS}"]}
    (folder / _PYTHON).write_text(yaml.safe_dump(python, sort_keys=False), encoding="utf-8")
