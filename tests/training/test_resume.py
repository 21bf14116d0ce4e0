"""A continued run equals an uninterrupted one; checkpoints survive damage and run nobody's code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gisearch.config import build
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import CheckpointError, DataError, NonFiniteError
from gisearch.models.batch import GenotypeBatch
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.experiment import ExperimentConfig, load_trained, run_experiment
from gisearch.training.loop import EpochReport

EPOCHS = 6


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(compose_data(["data=demo_tiny"]))


def experiment(**changes: Any) -> ExperimentConfig:
    values: dict[str, Any] = {
        "data": {"source": "demo"},
        "model": {"name": "dango_gi", "hidden_dim": 8, "encoder": {"dropout": 0.2}},
        "trainer": {"max_epochs": EPOCHS, "batch_size": 64, "checkpoint_seconds": 0.0},
        **changes,
    }
    return build(ExperimentConfig, values)


class KilledError(Exception):
    """Stands for a process that dies in the middle."""


def losses(config: ExperimentConfig, dataset: Dataset, folder: Path | None = None) -> list[float]:
    seen: list[float] = []
    run_experiment(config, dataset, folder=folder, report=lambda e: seen.append(e.metrics["train/loss"]))
    return seen


def test_a_continued_run_equals_an_uninterrupted_one(dataset: Dataset, tmp_path: Path) -> None:
    config = experiment()
    whole = run_experiment(config, dataset, folder=tmp_path / "whole")

    def die(epoch: EpochReport) -> None:
        if epoch.epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        run_experiment(config, dataset, folder=tmp_path / "killed", report=die)
    continued: list[int] = []
    result = run_experiment(
        config, dataset, folder=tmp_path / "killed", report=lambda e: continued.append(e.epoch)
    )
    assert continued == [4, 5, 6]
    assert result.value == pytest.approx(whole.value, abs=1e-6)
    ours = CheckpointStore(tmp_path / "killed").load(LAST)
    theirs = CheckpointStore(tmp_path / "whole").load(LAST)
    for name, weight in theirs["model"].items():
        torch.testing.assert_close(ours["model"][name], weight, rtol=0, atol=1e-6)
    for mine, other in zip(ours["progress"]["history"], theirs["progress"]["history"], strict=True):
        assert mine["train/loss"] == pytest.approx(other["train/loss"], abs=1e-6)


def test_same_seed_same_numbers_in_another_process(dataset: Dataset) -> None:
    code = (
        "from tests_resume import losses, experiment, load_dataset, compose_data\n"
        "print(losses(experiment(seed=0), load_dataset(compose_data(['data=demo_tiny']))))"
    )
    loader = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('tests_resume', {__file__!r})\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['tests_resume'] = module\n"
        "spec.loader.exec_module(module)\nimport torch; torch.set_num_threads(1)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", loader + code],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    here = losses(experiment(seed=0), dataset)
    assert here == pytest.approx(parse_list(run.stdout.strip().splitlines()[-1]), abs=1e-7)
    assert here != pytest.approx(losses(experiment(seed=1), dataset), abs=1e-4)


def parse_list(text: str) -> list[float]:
    return [float(part) for part in text.strip("[]").split(",")]


def test_accumulation_changes_nothing(dataset: Dataset) -> None:
    plain = {
        "name": "dango_gi",
        "hidden_dim": 8,
        "encoder": {"dropout": 0.0},
        "global_predictor": {"dropout": 0.0},
    }
    trainer = {"max_epochs": 3, "batch_size": 64}
    whole = losses(experiment(model=plain, trainer=trainer), dataset)
    parts = losses(experiment(model=plain, trainer={**trainer, "accumulate": 3}), dataset)
    assert parts == pytest.approx(whole, rel=1e-5)


def test_patience_stops_and_the_best_epoch_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    trainer = {"max_epochs": 60, "batch_size": 64, "patience": 2}
    config = experiment(trainer=trainer, optimizer={"lr": 0.05})
    result = run_experiment(config, dataset, folder=tmp_path)
    assert result.epochs < 60
    assert result.epochs == result.best_epoch + 2
    state = CheckpointStore(tmp_path).load(BEST)
    assert state["progress"]["epoch"] == result.best_epoch
    trained = load_trained(tmp_path, dataset)
    assert trained.config == config


def test_a_corrupt_last_checkpoint_falls_back_to_the_one_before(dataset: Dataset, tmp_path: Path) -> None:
    run_experiment(experiment(), dataset, folder=tmp_path)
    (tmp_path / LAST).write_bytes(b"half a checkpoint")
    store = CheckpointStore(tmp_path)
    with pytest.raises(CheckpointError, match=r"was not loaded|cannot be read"):
        store.load(LAST)
    state = store.load_last()
    assert state is not None
    assert state["progress"]["epoch"] == EPOCHS - 1


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("executed",))


def test_a_checkpoint_with_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "model": Payload()}, tmp_path / BEST)
    with pytest.raises(CheckpointError, match="corrupt or holds more than tensors and plain values"):
        CheckpointStore(tmp_path).load(BEST)
    assert not (tmp_path / "executed").exists()


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path)
    store.save(BEST, {"model": {"w": torch.ones(2)}})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left"):
        store.save(BEST, {"model": {"w": torch.zeros(2)}})
    assert [path.name for path in tmp_path.iterdir()] == [BEST]
    assert store.load(BEST)["model"]["w"].tolist() == [1.0, 1.0]


def test_a_non_finite_stage_is_named(dataset: Dataset) -> None:
    model = experiment().model.build(dataset.cell)
    with torch.no_grad():
        model.encoder.layers[0].convolution.eps.fill_(float("nan"))
    model(GenotypeBatch.from_genotypes(dataset.genotypes.subset([0, 1])))
    with pytest.raises(NonFiniteError, match=r"encoder\.layer_1"):
        model.monitor.check()


def test_changed_data_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    run_experiment(experiment(), dataset, folder=tmp_path)
    other = load_dataset(compose_data(["data=demo_tiny", "data.seed=5"]))
    with pytest.raises(DataError, match="the data has changed"):
        load_trained(tmp_path, other)
