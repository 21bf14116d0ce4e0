"""The packaged model: the scores of the trained one, by gene names, without the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gisearch import train
from gisearch.command_line import run
from gisearch.config import build, to_plain
from gisearch.data.cache import load_cell
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.tracking.scoring_model import CELL, TARGET, load_scoring_model, save_scoring_model
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import load_trained, run_experiment

MODELS = ("dango", "dango_gi", "boosted_trees", "hetero_cell", "diffusion")


def genotypes(dataset: Dataset) -> pd.DataFrame:
    names = dataset.cell.names
    rows = [
        [names.systematic[5], names.label(3), names.systematic[8]],
        [names.label(9), names.systematic[2], ""],
        [names.systematic[7], "", ""],
    ]
    return pd.DataFrame(rows, columns=["gene1", "gene2", "gene3"], index=[10, 11, 12])


def indices() -> np.ndarray:
    return np.array([[3, 5, 8], [2, 9, -1], [7, -1, -1]])


@pytest.mark.parametrize("model", MODELS)
def test_answers_as_the_trained_model_does(
    model: str, trained: Callable[[str], Path], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    save_scoring_model(trained(model), tmp_path / "model", tiny_dataset)
    table = load_scoring_model(tmp_path / "model").predict(genotypes(tiny_dataset))
    batch = GenotypeBatch.from_table(indices())
    score, std = load_trained(trained(model), tiny_dataset).predict(batch)
    assert table.index.tolist() == [10, 11, 12]
    assert table["score"].tolist() == score.tolist()
    assert table["score"].nunique() == 3 or model == "boosted_trees"
    assert ("std" in table) == (std is not None) == (model == "diffusion")
    if std is not None:
        assert table["std"].tolist() == std.tolist()


def test_what_was_derived_from_labels_goes_with_the_model(tiny_dataset: Dataset, tmp_path: Path) -> None:
    derived = ["derived.positive=true", "derived.threshold=0", "derived.profile.similarity=smoothed"]
    derived += ["derived.profile_features=4", "model.encoder.inputs=both"]
    settings = ["data=demo_tiny", "trainer.max_epochs=1", "name=derived", f"results.dir={tmp_path}"]
    assert run(train.main, [*settings, *derived]) == 0
    save_scoring_model(tmp_path / "derived", tmp_path / "model", tiny_dataset)
    (tmp_path / "derived" / "best.pt").rename(tmp_path / "elsewhere.pt")
    cell, none, _ = load_cell(tmp_path / "model" / CELL)
    assert list(cell.networks)[3:] == ["derived_positive", "derived_smoothed_profile"]
    assert list(cell.features) == ["derived_profile_features"]
    assert len(none) == 0, "no label lies beside them"
    table = load_scoring_model(tmp_path / "model").predict(genotypes(tiny_dataset))
    (tmp_path / "elsewhere.pt").rename(tmp_path / "derived" / "best.pt")
    score, _ = load_trained(tmp_path / "derived", tiny_dataset).predict(GenotypeBatch.from_table(indices()))
    assert table["score"].tolist() == score.tolist()


def test_gene_features_travel_with_the_model(make_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    """Of the split's training part too, such as single-mutant fitness: nothing is derived again."""
    overrides = [
        "data=demo_tiny",
        "data.cell.feature_width=4",
        "data.builtin_features=[single_mutant_fitness]",
    ]
    dataset = make_dataset(*overrides)
    model = {"name": "dango_gi", "hidden_dim": 16, "encoder": {"inputs": "features"}}
    data = to_plain(compose_data(overrides))
    config = build(ExperimentConfig, {"data": data, "model": model, "trainer": {"max_epochs": 1}})
    run_experiment(config, dataset, folder=tmp_path / "run")
    save_scoring_model(tmp_path / "run", tmp_path / "model", dataset)
    found = load_scoring_model(tmp_path / "model").predict(genotypes(dataset))
    score, _ = load_trained(tmp_path / "run", dataset).predict(GenotypeBatch.from_table(indices()))
    assert found["score"].tolist() == score.tolist()
    assert found["score"].nunique() == 3


def test_nothing_in_the_package_is_pickled(package: Path) -> None:
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert files == {
        "MLmodel",
        "input_example.json",
        "python_env.yaml",
        "requirements.txt",
        "serving_input_example.json",
        *(f"data/{name}" for name in ("best.pt", CELL, "config.yaml", TARGET)),
    }
    assert not list(package.parent.glob(".*")), "a half-written package was left behind"


def test_bad_tables(package: Path, tiny_dataset: Dataset) -> None:
    model = load_scoring_model(package / "data")
    name = tiny_dataset.cell.names.systematic[0]
    with pytest.raises(DataError, match=r"^the table: no column 'gene1'.*Did you mean 'gen1'"):
        model.predict(pd.DataFrame({"gen1": [name]}))
    with pytest.raises(DataError, match=r"^the table: two columns are called 'gene1' and 'Gene 1'"):
        model.predict(pd.DataFrame({"gene1": [name], "Gene 1": [name]}))
    pair = tiny_dataset.cell.names.systematic[:2]
    asked = pd.DataFrame([[*pair, None]], columns=["Gene 1", "partner", "gene_3"])
    usual = pd.DataFrame([pair], columns=["gene1", "gene2"])
    assert model.predict(asked)["score"].tolist() == model.predict(usual)["score"].tolist()
    with pytest.raises(DataError, match=r"^row 1: expected at least one deleted gene, got none\.$"):
        model.predict(pd.DataFrame({"gene1": [name, None]}))
    with pytest.raises(DataError, match=r"^row 0: the same gene is deleted twice \("):
        model.predict(pd.DataFrame({"gene1": [name], "gene2": [name]}))


def test_damaged_packages(package: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"best\.pt is missing"):
        save_scoring_model(tmp_path, tmp_path / "new", tiny_dataset)
    for name in (CELL, TARGET):
        folder = tmp_path / name
        folder.mkdir()
        for path in (package / "data").iterdir():
            (folder / path.name).write_bytes(path.read_bytes() if path.name != name else b"{")
        with pytest.raises(DataError, match=f"{name}: not a readable"):
            load_scoring_model(folder)
