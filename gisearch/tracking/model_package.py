"""The winner of a sweep as an MLflow model: a folder that ``mlflow.pyfunc.load_model`` reads."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import gisearch
from gisearch.data.dataset import Dataset
from gisearch.data.queries import GENE_COLUMNS, SCORE_COLUMNS
from gisearch.tracking.scoring_model import save_scoring_model

_DATA = "data"
_EXAMPLE, _SERVING_EXAMPLE = "input_example.json", "serving_input_example.json"
_REQUIREMENTS, _PYTHON = "requirements.txt", "python_env.yaml"
_EXAMPLE_ROWS = 3


def package_model(run: Path, target: Path, dataset: Dataset, *, has_std: bool) -> str:
    """Write the best model of the run folder ``run`` as an MLflow model to the folder ``target``.

    Nothing is pickled: the folder names :mod:`gisearch.tracking.scoring_model`, which reads the files. It is
    written by hand, because ``mlflow.pyfunc.save_model`` compares the requirements with every package that
    is installed, which takes seconds.

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
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    save_scoring_model(run, fresh / _DATA, dataset)
    _write_environment(fresh)
    model = Model(signature=_signature(has_std), saved_input_example_info=_write_example(fresh, dataset))
    add_to_model(model, loader_module="gisearch.tracking.scoring_model", data=_DATA, python_env=_PYTHON)
    model.model_size_bytes = sum(path.stat().st_size for path in fresh.rglob("*") if path.is_file())
    model.save(str(fresh / "MLmodel"))
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    return weights_digest(target)


def weights_digest(package: Path) -> str:
    """Return a hash of the checkpoint in a packaged model.

    Raises:
        OSError: there is none.
    """
    from gisearch.training.checkpoint import BEST

    return hashlib.blake2b((package / _DATA / BEST).read_bytes(), digest_size=8).hexdigest()


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
