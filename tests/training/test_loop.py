"""The training loop: what it reports, when it stops, which epoch it keeps, how it splits its work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError, DataError, NonFiniteError
from gisearch.models.batch import GenotypeBatch
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import build_model
from gisearch.training.loop import EpochReport, Trainer, resolve_device
from gisearch.training.objective import Objective

Experiment = Callable[..., ExperimentConfig]

NO_DROPOUT = {"model.encoder.dropout": 0.0, "model.global_predictor.dropout": 0.0}


class ScriptedTrainer(Trainer):
    """A trainer whose validation scores are given."""

    script: list[float]

    def evaluate(self, part: str) -> dict[str, float]:
        return {**super().evaluate(part), "val/pearson": self.script[self.progress.epoch]}


def make_trainer(
    config: ExperimentConfig, dataset: Dataset, cls: type[Trainer] = Trainer, **options: Any
) -> Trainer:
    return cls(
        build_model(config, dataset),
        dataset,
        trainer=config.trainer,
        optimizer=config.optimizer,
        objective=Objective.resolve(config.objective, dataset.target),
        seed=config.seed,
        **options,
    )


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert set(one) == set(other)
    return max((one[name] - other[name]).abs().max().item() for name in one)


def test_reports_every_epoch(experiment: Experiment, tiny_dataset: Dataset) -> None:
    reports: list[EpochReport] = []
    config = experiment({"optimizer.lr": 0.02, "optimizer.schedule": "constant"})
    trainer = make_trainer(config, tiny_dataset)
    progress = trainer.fit(reports.append)
    assert [r.epoch for r in reports] == [1, 2, 3, 4]
    assert [r.finished for r in reports] == [False, False, False, True]
    for report in reports:
        assert set(report.metrics) == {
            "train/loss",
            "val/pearson",
            "val/spearman",
            "val/rmse",
            "val/r2",
            "val/loss",
            "lr",
            "epoch_seconds",
        }
        assert all(np.isfinite(value) for value in report.metrics.values())
        so_far = [r.metrics["val/pearson"] for r in reports[: report.epoch]]
        assert report.best_value == max(so_far)
        assert report.best_epoch == so_far.index(max(so_far)) + 1
        assert report.metrics["lr"] == pytest.approx(0.02)
    assert progress.history == [{"epoch": r.epoch, **r.metrics} for r in reports]
    assert progress.seconds == pytest.approx(sum(r.metrics["epoch_seconds"] for r in reports))
    assert progress.step == 4 * -(-len(tiny_dataset.split.train) // 40)


def test_training_lowers_the_loss_below_that_of_the_mean(
    experiment: Experiment, tiny_dataset: Dataset
) -> None:
    config = experiment({**NO_DROPOUT, "trainer.max_epochs": 30, "model.hidden_dim": 16})
    history = make_trainer(config, tiny_dataset).fit().history
    assert history[0]["train/loss"] > history[-1]["train/loss"]
    assert history[-1]["train/loss"] < 0.7, "the standardised target has a variance of one"


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_accumulated_parts_equal_the_whole_batch(
    parts: int, experiment: Experiment, tiny_dataset: Dataset
) -> None:
    """Parts of unequal size too: 168 genotypes in batches of 50, the last one of 18."""
    changes = {**NO_DROPOUT, "trainer.batch_size": 50, "trainer.max_epochs": 2, "optimizer.lr": 1e-3}
    whole = make_trainer(experiment(changes), tiny_dataset)
    divided = make_trainer(experiment({**changes, "trainer.accumulate": parts}), tiny_dataset)
    before = weights(whole)
    expected, found = whole.fit().history, divided.fit().history
    for one, other in zip(found, expected, strict=True):
        assert one["train/loss"] == pytest.approx(other["train/loss"], rel=1e-5)
    batch = GenotypeBatch.from_genotypes(tiny_dataset.genotypes)
    torch.testing.assert_close(divided.predict(batch)[0], whole.predict(batch)[0], rtol=1e-5, atol=1e-5)
    # The scores hardly depend on the biases of the pooling; what rounding leaves of their gradients, AdamW
    # blows up to whole steps.
    for trainer in (divided, whole):
        for name in ("gate.0.bias", "gate.2.bias"):
            trainer.model.get_parameter(f"pooling.{name}").data.zero_()
    assert largest_difference(weights(divided), weights(whole)) < 1e-5
    assert largest_difference(before, weights(whole)) > 1e-3


def test_every_epoch_sees_every_genotype_once_in_an_order_of_its_own(
    experiment: Experiment, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(experiment({"trainer.max_epochs": 2}), tiny_dataset)
    seen: list[list[int]] = []
    training_loss = trainer.model.training_loss

    def record(batch: GenotypeBatch, *arguments: Any) -> Tensor:
        seen.append((batch.deleted * batch.present @ torch.tensor([10_000, 100, 1])).tolist())
        return training_loss(batch, *arguments)

    monkeypatch.setattr(trainer.model, "training_loss", record)
    trainer.fit()
    number = len(tiny_dataset.split.train)
    parts = torch.arange(number).split(40)
    assert [len(batch) for batch in seen] == [len(part) for part in parts] * 2
    genotypes = [genotype for batch in seen for genotype in batch]
    first, second = genotypes[:number], genotypes[number:]
    assert first != second
    assert sorted(first) == sorted(second)
    assert len(set(first)) == number


def test_gradients_are_clipped(experiment: Experiment, tiny_dataset: Dataset) -> None:
    """AdamW divides by the gradient's size plus 1e-8: far below that, steps nearly vanish."""
    moved = {}
    for clip in (None, 1e-11):
        changes = {"optimizer.clip_norm": clip, "optimizer.weight_decay": 0.0, "trainer.max_epochs": 1}
        trainer = make_trainer(experiment(changes), tiny_dataset)
        before = weights(trainer)
        trainer.fit()
        moved[clip] = largest_difference(before, weights(trainer))
    assert moved[1e-11] < moved[None] / 20


def test_stops_after_epochs_without_progress_and_keeps_the_best(
    experiment: Experiment, tiny_dataset: Dataset
) -> None:
    config = experiment({"trainer.max_epochs": 9, "trainer.patience": 3})
    trainer = make_trainer(config, tiny_dataset, ScriptedTrainer)
    trainer.script = [0.1, 0.3, 0.2, 0.5, 0.4, 0.5, 0.1, 0.9, 0.9]  # type: ignore[attr-defined]
    seen: dict[int, dict[str, Tensor]] = {}
    reports: list[EpochReport] = []

    def report(epoch: EpochReport) -> None:
        seen[epoch.epoch] = weights(trainer)
        reports.append(epoch)

    progress = trainer.fit(report)
    # Epoch 6 equals epoch 4 and is no progress.
    assert (progress.epoch, progress.best_epoch, progress.best_value) == (7, 4, 0.5)
    assert [r.finished for r in reports] == [False] * 6 + [True]
    assert largest_difference(weights(trainer), seen[4]) == 0
    assert largest_difference(weights(trainer), seen[7]) > 1e-4


def test_without_patience_trains_to_the_end(experiment: Experiment, tiny_dataset: Dataset) -> None:
    trainer = make_trainer(experiment(), tiny_dataset, ScriptedTrainer)
    trainer.script = [0.5, 0.1, 0.1, 0.1]  # type: ignore[attr-defined]
    progress = trainer.fit()
    assert (progress.epoch, progress.best_epoch) == (4, 1)


def test_a_metric_to_minimise_keeps_its_lowest(experiment: Experiment, tiny_dataset: Dataset) -> None:
    trainer = make_trainer(experiment({"objective.metric": "val/loss"}), tiny_dataset)
    progress = trainer.fit()
    assert progress.best_value == min(epoch["val/loss"] for epoch in progress.history)


def test_predictions_do_not_depend_on_the_evaluation_batch(
    experiment: Experiment, tiny_dataset: Dataset
) -> None:
    batch = GenotypeBatch.from_genotypes(tiny_dataset.genotypes)
    whole, std = make_trainer(experiment(), tiny_dataset).predict(batch)
    parts, _ = make_trainer(experiment({"trainer.eval_batch_size": 7}), tiny_dataset).predict(batch)
    assert whole.shape == (len(batch),)
    assert std is None
    torch.testing.assert_close(parts, whole)


def test_predictions_are_in_label_units(experiment: Experiment, make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset("data=demo_tiny", "data.target=fitness")
    trainer = make_trainer(experiment(), dataset)
    trainer.fit()
    predicted, _ = trainer.predict(trainer.data["train"][0])
    labels = torch.tensor(dataset.values("train"))
    assert predicted.mean().item() == pytest.approx(labels.mean().item(), abs=2 * labels.std().item())
    binary = make_dataset("data=demo_tiny", "data.target=strong_negative")
    trainer = make_trainer(experiment(), binary)
    progress = trainer.fit()
    predicted, _ = trainer.predict(trainer.data["train"][0])
    assert predicted.min() >= 0
    assert predicted.max() <= 1
    assert set(progress.history[0]) >= {"val/auroc", "val/average_precision", "val/loss"}


def test_bfloat16_trains(experiment: Experiment, tiny_dataset: Dataset) -> None:
    exact = make_trainer(experiment(), tiny_dataset).fit().history
    rounded = make_trainer(experiment({"trainer.precision": "bf16"}), tiny_dataset).fit().history
    assert rounded != exact
    assert rounded[-1]["train/loss"] == pytest.approx(exact[-1]["train/loss"], rel=0.1)


def test_the_seed_decides_the_numbers(experiment: Experiment, tiny_dataset: Dataset) -> None:
    def losses(seed: int) -> list[float]:
        history = make_trainer(experiment({"seed": seed}), tiny_dataset).fit().history
        return [epoch["train/loss"] for epoch in history]

    first = losses(0)
    torch.manual_seed(99)
    np.random.default_rng().random()
    assert losses(0) == first
    assert losses(1) != first


def test_the_seed_orders_batches_and_drives_dropout_too(
    experiment: Experiment, tiny_dataset: Dataset
) -> None:
    """With equal initial weights, seeds still differ: by dropout, and without it by the order."""
    for changes in ({}, NO_DROPOUT):
        found = []
        for seed in (0, 1):
            trainer = make_trainer(experiment({**changes, "seed": seed}), tiny_dataset)
            trainer.model.load_state_dict(build_model(experiment(changes), tiny_dataset).state_dict())
            found.append(trainer.fit().history[0]["train/loss"])
        assert found[0] != found[1]


def test_a_bad_weight_stops_training_naming_epoch_and_stage(
    experiment: Experiment, tiny_dataset: Dataset
) -> None:
    trainer = make_trainer(experiment(), tiny_dataset)

    def spoil(report: EpochReport) -> None:
        if report.epoch == 2:
            next(p for n, p in trainer.model.named_parameters() if n.startswith("pooling")).data.fill_(
                float("nan")
            )

    with pytest.raises(NonFiniteError, match=r"^epoch 3: stage 'pooling' produced NaN or infinite values\.$"):
        trainer.fit(spoil)


def test_a_validation_part_of_equal_labels_is_refused_before_training(
    experiment: Experiment, tiny_dataset: Dataset
) -> None:
    values = tiny_dataset.genotypes.labels["gene_interaction"].copy()
    values[tiny_dataset.split.val] = 0.25
    labels = {**tiny_dataset.genotypes.labels, "gene_interaction": values}
    genotypes = dataclasses.replace(tiny_dataset.genotypes, labels=labels)
    dataset = dataclasses.replace(tiny_dataset, genotypes=genotypes)
    message = (
        r"objective\.metric: 'val/pearson' needs two different values of 'gene_interaction' in the "
        r"validation part, which has \d+ genotypes of value 0\.25\."
    )
    with pytest.raises(DataError, match=message):
        make_trainer(experiment(), dataset)
    progress = make_trainer(experiment({"objective.metric": "val/loss"}), dataset).fit()
    assert progress.best_value is not None


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match=r"trainer\.device: 'cuda' needs a GPU .* expected 'cpu' or 'auto'"):
        resolve_device("cuda")
