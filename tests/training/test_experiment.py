"""From a configuration to a trained model and back, and what is refused on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError, ConfigError, DataError, DiskFullError
from gisearch.models.batch import GenotypeBatch
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import CONFIG_FILE, ExperimentConfig, config_yaml, load_config, save_config
from gisearch.training.experiment import load_trained, run_experiment
from gisearch.training.metrics import score

Experiment = Callable[..., ExperimentConfig]


def validation_metrics(folder: Path, dataset: Dataset) -> dict[str, float]:
    trained = load_trained(folder, dataset)
    rows = dataset.split.part("val")
    predicted, _ = trained.predict(GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows)))
    return score(dataset.target.kind, predicted, torch.tensor(dataset.values("val")))


@pytest.mark.parametrize(
    ("target", "metric"),
    [("gene_interaction", "pearson"), ("fitness", "pearson"), ("strong_negative", "auroc")],
)
def test_the_saved_model_has_the_best_epochs_score(
    target: str,
    metric: str,
    experiment: Experiment,
    make_dataset: Callable[..., Dataset],
    tmp_path: Path,
) -> None:
    config = experiment({"trainer.max_epochs": 6}, f"data.target={target}")
    dataset = make_dataset("data=demo_tiny", f"data.target={target}")
    values: list[float] = []
    result = run_experiment(
        config, dataset, folder=tmp_path, report=lambda r: values.append(r.metrics[f"val/{metric}"])
    )
    assert result.value == max(values) == values[result.best_epoch - 1]
    assert result.objective.metric == f"val/{metric}"
    assert validation_metrics(tmp_path, dataset)[metric] == pytest.approx(result.value, abs=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, CONFIG_FILE, LAST, f"{LAST}.previous"]


def test_subgroups_are_those_of_the_best_epoch(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    result = run_experiment(experiment({"trainer.max_epochs": 6}), tiny_dataset, folder=tmp_path)
    trained = load_trained(tmp_path, tiny_dataset)
    rows = tiny_dataset.split.val
    double = rows[tiny_dataset.genotypes.order[rows] == 2]
    batch = GenotypeBatch.from_genotypes(tiny_dataset.genotypes.subset(double))
    measured = torch.tensor(tiny_dataset.genotypes.labels["gene_interaction"][double])
    expected = score("regression", trained.predict(batch)[0], measured)
    found = {k.rpartition("/")[2]: v for k, v in result.subgroups.items() if k.startswith("val/order_2/")}
    assert found == pytest.approx(expected, abs=1e-6)
    assert not any(name.startswith("val/order_1") for name in result.subgroups)


def test_a_run_without_a_folder_writes_nothing(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_experiment(experiment(), tiny_dataset)
    assert result.epochs == 4
    assert result.num_parameters["total"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_scale_is_stored_with_the_weights(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    run_experiment(experiment(), tiny_dataset, folder=tmp_path)
    train = tiny_dataset.values("train")
    scale = load_trained(tmp_path, tiny_dataset).scale
    assert scale.mean == pytest.approx(train.mean())
    assert scale.std == pytest.approx(train.std())


def test_a_configuration_comes_back_from_its_file(experiment: Experiment, tmp_path: Path) -> None:
    config = experiment(
        {"optimizer.lr": 1e-5, "trainer.patience": 3, "model.encoder.networks": ["physical"], "seed": 0}
    )
    path = save_config(config, tmp_path / "run")
    assert load_config(path) == config
    assert path.read_text() == config_yaml(config)


def test_a_missing_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no configuration file at .*config\.yaml\.$"):
        load_config(tmp_path / CONFIG_FILE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"model: [1, 2", r"^cannot read the configuration .*config\.yaml: while parsing a flow sequence\.$"),
        (b"\xff\xfe\x00", r"^cannot read the configuration .*config\.yaml: "),
        (b"- 1\n- 2\n", r"config\.yaml: expected a mapping of configuration keys\.$"),
        (b"", r"config\.yaml: expected a mapping of configuration keys\.$"),
        (b"model: {name: dango_gi}", r"config\.yaml: data: a value is required\.$"),
    ],
)
def test_a_broken_configuration_is_an_error(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / CONFIG_FILE
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.hiden_dim", 8, r"unknown key 'hiden_dim' in model\. Did you mean 'hidden_dim'\?$"),
        ("optimiser.lr", 0.1, r"unknown key 'optimiser' in the configuration\. Did you mean 'optimizer'\?$"),
        ("trainer.max_epochs", 0, r"trainer\.max_epochs: expected greater than or equal to 1, got 0\.$"),
        ("optimizer.lr", "fast", r"optimizer\.lr: expected a valid number, got 'fast'\.$"),
    ],
)
def test_a_wrong_key_of_a_file_is_named_with_the_file(
    key: str, value: Any, message: str, experiment: Experiment, tmp_path: Path
) -> None:
    values = yaml.safe_load(config_yaml(experiment()))
    section, name = key.split(".")
    values.setdefault(section, {})[name] = value
    path = tmp_path / CONFIG_FILE
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=r"config\.yaml: " + message):
        load_config(path)


def test_a_configuration_that_cannot_be_written_is_an_error(experiment: Experiment, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with pytest.raises(ConfigError, match=r"^cannot write .*config\.yaml: "):
        save_config(experiment(), in_the_way / "run")


def test_changed_data_is_refused(
    experiment: Experiment, make_dataset: Callable[..., Dataset], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    run_experiment(experiment(), tiny_dataset, folder=tmp_path)
    for change in ("data.seed=5", "data.target=fitness", "data.cell.seed=1"):
        other = make_dataset("data=demo_tiny", change)
        message = (
            rf"the data has changed since .*: its hash is {other.digest()}, expected {tiny_dataset.digest()}"
        )
        with pytest.raises(DataError, match=message):
            load_trained(tmp_path, other)


def test_weights_that_do_not_fit_are_refused(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    run_experiment(experiment(), tiny_dataset, folder=tmp_path)
    store = CheckpointStore(tmp_path)
    state = store.load(BEST)
    state["config"]["model"]["hidden_dim"] = 16
    store.save(BEST, state)
    with pytest.raises(CheckpointError, match=r"does not fit its configuration: "):
        load_trained(tmp_path, tiny_dataset)


def test_a_folder_without_a_model_is_an_error(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^no checkpoint at .*best\.pt\.$"):
        load_trained(tmp_path, tiny_dataset)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"objective.metric": "val/auroc"},
            ConfigError,
            r"objective\.metric: 'val/auroc' is not measured for the regression target 'gene_interaction'",
        ),
        (
            {"objective.mode": "min"},
            ConfigError,
            r"objective\.mode: 'min' contradicts 'val/pearson'; expected 'max'",
        ),
        (
            {"model.encoder.networks": ["physical", "genetic"]},
            DataError,
            r"no network 'genetic' \(it has: physical, regulatory, coexpression\)",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_refused(
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    experiment: Experiment,
    tiny_dataset: Dataset,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        run_experiment(experiment(changes), tiny_dataset, folder=tmp_path)
    assert not (tmp_path / LAST).exists()


def test_a_full_disk_is_a_clear_error(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"cannot write .*best\.pt: no space left on device"):
        run_experiment(experiment(), tiny_dataset, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CONFIG_FILE]
