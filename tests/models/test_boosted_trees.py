"""What is particular to BoostedTrees: scikit-learn's trees, grown epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gisearch.config import assign, build, to_plain
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.boosted_trees import BoostedTrees
from gisearch.models.config.boosted_trees import BoostedTreesConfig
from gisearch.models.targets import Targets
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import load_trained, run_experiment
from gisearch.training.loop import EpochReport
from gisearch.training.target import training_targets

MakeDataset = Callable[..., Dataset]
SMALL = {"trees_per_epoch": 4, "min_samples_leaf": 3}


def make(dataset: Dataset, changes: Mapping[str, Any] | None = None) -> BoostedTrees:
    torch.manual_seed(0)
    config = build(BoostedTreesConfig, assign(SMALL, changes or {}))
    return config.build(dataset.cell, dataset.target)


def training(dataset: Dataset) -> tuple[GenotypeBatch, Targets]:
    rows = dataset.split.train
    return GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows)), training_targets(dataset)


@pytest.mark.parametrize("target", ["fitness", "strong_negative"])
def test_scores_are_those_of_scikit_learn(target: str, make_dataset: MakeDataset) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    dataset = make_dataset("data=demo_tiny", f"data.target={target}")
    model, (batch, targets) = make(dataset), training(dataset)
    for _ in range(5):
        model.fit_epoch(batch, targets)
    binary = dataset.target.kind == "binary"
    whole = (HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor)(
        learning_rate=0.05, max_leaf_nodes=31, min_samples_leaf=3, max_iter=20, early_stopping=False
    )
    rows = dataset.split.val
    unseen = GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows))
    x, y = model.features(batch).numpy(), targets.main.numpy()
    whole.fit(x, y.astype(int) if binary else y)
    for some in (batch, unseen):
        features = model.features(some).numpy()
        expected = whole.decision_function(features) if binary else whole.predict(features)
        torch.testing.assert_close(model(some).score, torch.from_numpy(expected).float(), rtol=0, atol=1e-5)


def test_every_epoch_adds_trees_and_returns_the_loss_with_them(tiny_dataset: Dataset) -> None:
    model, (batch, targets) = make(tiny_dataset), training(tiny_dataset)
    assert not model(batch).score.any()
    losses = []
    for epoch in range(1, 6):
        losses.append(model.fit_epoch(batch, targets))
        assert len(model.trees) == 4 * epoch
        assert losses[-1] == pytest.approx(targets.loss(model(batch).score).item(), rel=1e-5)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]
    assert model.num_parameters()["total"] == model.trees.num_leaves() > 20


def test_goes_on_from_a_loaded_state(tiny_dataset: Dataset) -> None:
    model, (batch, targets) = make(tiny_dataset), training(tiny_dataset)
    for _ in range(3):
        model.fit_epoch(batch, targets)
    continued = make(tiny_dataset)
    continued.load_state_dict(model.state_dict())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert continued.fit_epoch(batch, targets) == pytest.approx(model.fit_epoch(batch, targets), rel=1e-6)
    for name, value in model.state_dict().items():
        assert torch.equal(continued.state_dict()[name], value), name
    # Back to fewer trees, as the best epoch's weights are: what was fitted since is forgotten.
    model.load_state_dict(state)
    model.fit_epoch(batch, targets)
    assert all(torch.equal(model.state_dict()[n], v) for n, v in continued.state_dict().items())


def test_trees_of_other_data_cannot_be_continued(tiny_dataset: Dataset) -> None:
    model, (batch, targets) = make(tiny_dataset), training(tiny_dataset)
    model.fit_epoch(batch, targets)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    other = make(tiny_dataset)
    other.load_state_dict(before)
    with pytest.raises(CheckpointError, match=r"^the loaded trees cannot be continued: this data "):
        other.fit_epoch(batch[:100], targets[slice(0, 100)])
    assert all(torch.equal(other.state_dict()[name], value) for name, value in before.items())


EPOCHS = 6


class KilledError(Exception):
    """Stands for a process that dies."""


def experiment() -> ExperimentConfig:
    values = {
        "data": to_plain(compose_data(["data=demo_tiny"])),
        "model": {"name": "boosted_trees", **SMALL},
        "trainer": {"max_epochs": EPOCHS, "checkpoint_seconds": 0.0, "device": "cpu"},
    }
    return build(ExperimentConfig, values)


@pytest.mark.parametrize("killed_after", [(1,), (2, 5)])
def test_a_continued_run_equals_an_uninterrupted_one(
    killed_after: tuple[int, ...], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment()
    whole = run_experiment(config, tiny_dataset, folder=tmp_path / "whole")

    for epoch in killed_after:

        def die(report: EpochReport, epoch: int = epoch) -> None:
            if report.epoch == epoch:
                raise KilledError

        with pytest.raises(KilledError):
            run_experiment(config, tiny_dataset, folder=tmp_path / "again", report=die)
    result = run_experiment(config, tiny_dataset, folder=tmp_path / "again")
    assert (result.value, result.best_epoch, result.epochs) == (whole.value, whole.best_epoch, EPOCHS)
    for name in (BEST, LAST):
        found, expected = (
            CheckpointStore(tmp_path / folder).load(name)["model"] for folder in ("again", "whole")
        )
        assert set(found) == set(expected)
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert len(expected["trees.value"]) == 4 * EPOCHS


def test_a_trained_model_is_loaded_with_the_best_epochs_trees(tiny_dataset: Dataset, tmp_path: Path) -> None:
    result = run_experiment(experiment(), tiny_dataset, folder=tmp_path)
    trained = load_trained(tmp_path, tiny_dataset)
    assert isinstance(trained.model, BoostedTrees)
    assert len(trained.model.trees) == 4 * result.best_epoch
    rows = tiny_dataset.split.val
    scores, std = trained.predict(GenotypeBatch.from_genotypes(tiny_dataset.genotypes.subset(rows)))
    assert std is None
    assert np.corrcoef(scores, tiny_dataset.values("val"))[0, 1] == pytest.approx(result.value, abs=1e-5)


def test_a_network_that_the_data_lacks_is_an_error(tiny_dataset: Dataset) -> None:
    config = build(BoostedTreesConfig, {"networks": ["regulation"]})
    message = r"no network 'regulation'.*Did you mean 'regulatory'\?"
    with pytest.raises(DataError, match=message):
        config.check(tiny_dataset.cell, tiny_dataset.target)
    with pytest.raises(DataError, match=message):
        config.build(tiny_dataset.cell, tiny_dataset.target)
