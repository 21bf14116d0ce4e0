"""A continued run equals an uninterrupted one, in this process and in another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import CONFIG_FILE, ExperimentConfig, save_config
from gisearch.training.experiment import ExperimentResult, run_experiment
from gisearch.training.loop import EpochReport

Experiment = Callable[..., ExperimentConfig]

EPOCHS = 6
TOLERANCE = 1e-6

# Every source of randomness in training is on, and a checkpoint is due after every epoch.
CHANGES: dict[str, Any] = {
    "trainer.max_epochs": EPOCHS,
    "trainer.checkpoint_seconds": 0.0,
    "model.encoder.dropout": 0.3,
    "model.local_predictor.dropout": 0.2,
    "model.global_predictor.dropout": 0.2,
    "optimizer.cycles": 2,
}


class KilledError(Exception):
    """Stands for a process that dies in the middle."""


def die_after(epoch: int) -> Callable[[EpochReport], None]:
    def report(progress: EpochReport) -> None:
        if progress.epoch == epoch:
            raise KilledError

    return report


def run_and_die(config: ExperimentConfig, dataset: Dataset, folder: Path, epoch: int) -> None:
    with pytest.raises(KilledError):
        run_experiment(config, dataset, folder=folder, report=die_after(epoch))


def assert_same_run(result: ExperimentResult, folder: Path, whole: ExperimentResult, other: Path) -> None:
    assert result.value == pytest.approx(whole.value, abs=TOLERANCE)
    assert (result.best_epoch, result.epochs) == (whole.best_epoch, whole.epochs)
    for name in (BEST, LAST):
        found, expected = CheckpointStore(folder).load(name), CheckpointStore(other).load(name)
        assert set(found["model"]) == set(expected["model"])
        for key, weight in expected["model"].items():
            torch.testing.assert_close(found["model"][key], weight, rtol=0, atol=TOLERANCE, msg=key)
        history = found["progress"]["history"], expected["progress"]["history"]
        for one, reference in zip(*history, strict=True):
            one, reference = dict(one), dict(reference)
            assert one.pop("epoch_seconds") > 0
            assert reference.pop("epoch_seconds") > 0
            assert one == pytest.approx(reference, abs=TOLERANCE)
    assert result.subgroups == pytest.approx(whole.subgroups, abs=TOLERANCE)


@pytest.fixture(scope="module")
def whole(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ExperimentResult, Path]:
    """The uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    return run_experiment(experiment(CHANGES), tiny_dataset, folder=folder), folder


@pytest.mark.parametrize("killed_after", [(1,), (3,), (5,), (EPOCHS,), (1, 2, 4)])
def test_a_continued_run_equals_an_uninterrupted_one(
    killed_after: tuple[int, ...],
    whole: tuple[ExperimentResult, Path],
    experiment: Experiment,
    tiny_dataset: Dataset,
    tmp_path: Path,
) -> None:
    config = experiment(CHANGES)
    for epoch in killed_after:
        run_and_die(config, tiny_dataset, tmp_path, epoch)
        torch.manual_seed(epoch)  # another process has another state
    continued: list[int] = []
    result = run_experiment(
        config, tiny_dataset, folder=tmp_path, report=lambda report: continued.append(report.epoch)
    )
    assert continued == list(range(killed_after[-1] + 1, EPOCHS + 1))
    assert_same_run(result, tmp_path, *whole)


def test_a_continued_run_tells_its_earlier_epochs_again(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """The last of them was kept, and whoever was to hear of it may not have."""
    config, told, recalled = experiment(CHANGES), list[EpochReport](), list[EpochReport]()

    def report(epoch: EpochReport) -> None:
        told.append(epoch)
        if epoch.epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        run_experiment(config, tiny_dataset, folder=tmp_path, report=report)
    run_experiment(config, tiny_dataset, folder=tmp_path, recall=recalled.extend)
    assert [epoch.epoch for epoch in recalled] == [1, 2, 3]
    for one, other in zip(told, recalled, strict=True):
        assert (one.metrics, one.best_value, one.best_epoch) == (
            other.metrics,
            other.best_value,
            other.best_epoch,
        )
        assert other.seconds == pytest.approx(one.seconds)


def test_continues_from_the_state_before_a_damaged_one(
    whole: tuple[ExperimentResult, Path], experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment(CHANGES)
    run_and_die(config, tiny_dataset, tmp_path, 4)
    (tmp_path / LAST).write_bytes(b"half a checkpoint")
    continued: list[int] = []
    result = run_experiment(
        config, tiny_dataset, folder=tmp_path, report=lambda report: continued.append(report.epoch)
    )
    assert continued == [4, 5, 6]
    assert_same_run(result, tmp_path, *whole)


def test_a_run_that_its_report_ends_keeps_its_last_epoch_due_or_not(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment({**CHANGES, "trainer.checkpoint_seconds": 1e6})
    run_and_die(config, tiny_dataset, tmp_path, 4)
    continued: list[int] = []
    run_experiment(
        config, tiny_dataset, folder=tmp_path, report=lambda report: continued.append(report.epoch)
    )
    assert continued == [5, 6]


def test_starts_again_where_no_state_was_due_yet(
    whole: tuple[ExperimentResult, Path], experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment({**CHANGES, "trainer.checkpoint_seconds": 1e6})
    run_and_die(config, tiny_dataset, tmp_path, 4)
    # As if it had been killed: only what is written at once, the best model, is there.
    (tmp_path / LAST).unlink()
    assert (tmp_path / BEST).exists()
    continued: list[int] = []
    result = run_experiment(
        config, tiny_dataset, folder=tmp_path, report=lambda report: continued.append(report.epoch)
    )
    assert continued == [1, 2, 3, 4, 5, 6]
    assert_same_run(result, tmp_path, *whole)


def test_the_best_epoch_may_lie_before_the_interruption(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """The best weights are then in best.pt alone, written by the process that died."""
    rising = {"optimizer.lr": 0.3, "optimizer.warmup": 0.95, "optimizer.schedule": "constant"}
    config = experiment({**CHANGES, **rising, "objective.metric": "val/loss"})
    complete = run_experiment(config, tiny_dataset, folder=tmp_path / "whole")
    assert complete.best_epoch < EPOCHS, "the rate is chosen so that training gets worse"
    run_and_die(config, tiny_dataset, tmp_path / "killed", EPOCHS - 1)
    result = run_experiment(config, tiny_dataset, folder=tmp_path / "killed")
    assert_same_run(result, tmp_path / "killed", complete, tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(
    whole: tuple[ExperimentResult, Path], experiment: Experiment, tiny_dataset: Dataset
) -> None:
    def report(_: EpochReport) -> None:
        raise AssertionError("trained again")

    result = run_experiment(experiment(CHANGES), tiny_dataset, folder=whole[1], report=report)
    # What the process has used meanwhile is its own business.
    assert replace(result, peak_memory_mb=whole[0].peak_memory_mb) == whole[0]


def test_a_folder_with_another_run_is_left_alone(
    whole: tuple[ExperimentResult, Path],
    experiment: Experiment,
    make_dataset: Callable[..., Dataset],
    tiny_dataset: Dataset,
) -> None:
    _, folder = whole
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = experiment({**CHANGES, "optimizer.lr": 0.5, "seed": 3})
    message = r"holds a run with another configuration \(they differ in optimizer\.lr, seed\)"
    with pytest.raises(CheckpointError, match=message):
        run_experiment(other, tiny_dataset, folder=folder)
    changed = make_dataset("data=demo_tiny", "data.seed=5")
    with pytest.raises(CheckpointError, match=r"holds the checkpoints of a run with another data"):
        run_experiment(experiment(CHANGES), changed, folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from gisearch.data.load import load_dataset
from gisearch.training.config import load_config
from gisearch.training.experiment import run_experiment

folder, die_after = Path(sys.argv[1]), int(sys.argv[2])
config = load_config(folder / "config.yaml")
losses = []

def report(epoch):
    losses.append(epoch.metrics["train/loss"])
    if epoch.epoch == die_after:
        os.kill(os.getpid(), signal.SIGKILL)

result = run_experiment(config, load_dataset(config.data), folder=folder, report=report)
print(json.dumps({"losses": losses, "value": result.value}))
"""


def in_another_process(config: ExperimentConfig, folder: Path, die_after: int = 0) -> Any:
    save_config(config, folder)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(die_after)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    if die_after:
        assert done.returncode == -signal.SIGKILL, done.stderr
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_seed_zero_gives_the_same_numbers_in_another_process(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment({**CHANGES, "seed": 0})
    there = in_another_process(config, tmp_path)
    losses: list[float] = []
    here = run_experiment(
        config, tiny_dataset, report=lambda report: losses.append(report.metrics["train/loss"])
    )
    assert there["losses"] == losses
    assert there["value"] == here.value
    other = run_experiment(experiment({**CHANGES, "seed": 1}), tiny_dataset)
    assert other.value != here.value


@pytest.mark.slow
def test_a_killed_process_is_continued_by_another(
    whole: tuple[ExperimentResult, Path], experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment(CHANGES)
    in_another_process(config, tmp_path, die_after=3)
    assert {path.name for path in tmp_path.iterdir()} >= {BEST, LAST, CONFIG_FILE}
    result = run_experiment(config, tiny_dataset, folder=tmp_path)
    assert_same_run(result, tmp_path, *whole)
