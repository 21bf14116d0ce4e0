"""Between label units and the model's scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from gisearch.data.dataset import Dataset
from gisearch.models.targets import label_loss
from gisearch.training.target import TargetScale, training_targets


def with_labels(dataset: Dataset, values: np.ndarray) -> Dataset:  # type: ignore[type-arg]
    labels = {**dataset.genotypes.labels, dataset.target.name: values.astype(np.float32)}
    return dataclasses.replace(dataset, genotypes=dataclasses.replace(dataset.genotypes, labels=labels))


def test_standardises_by_the_training_split_alone(tiny_dataset: Dataset) -> None:
    scale = TargetScale.fit(tiny_dataset)
    train = tiny_dataset.values("train").astype(np.float64)
    assert scale.mean == pytest.approx(train.mean())
    assert scale.std == pytest.approx(train.std())
    standardised = scale.to_model(torch.tensor(train))
    assert standardised.mean().item() == pytest.approx(0, abs=1e-9)
    assert standardised.std(correction=0).item() == pytest.approx(1)
    values = tiny_dataset.genotypes.labels[tiny_dataset.target.name].copy()
    values[tiny_dataset.split.val] += 100
    values[tiny_dataset.split.test] -= 50
    assert TargetScale.fit(with_labels(tiny_dataset, values)) == scale


def test_goes_to_the_model_and_back(tiny_dataset: Dataset) -> None:
    scale, values = TargetScale.fit(tiny_dataset), torch.tensor(tiny_dataset.values("val"))
    torch.testing.assert_close(scale.from_model(scale.to_model(values)), values)


def test_equal_labels_are_not_blown_up(tiny_dataset: Dataset) -> None:
    """Rounding gives equal values a standard deviation of 1e-17 or so."""
    values = np.full(len(tiny_dataset.genotypes), 0.1)
    scale = TargetScale.fit(with_labels(tiny_dataset, values))
    assert scale.std == 1.0
    assert scale.mean == pytest.approx(0.1)


def test_a_binary_target_stays_as_it_is(make_dataset: Callable[..., Dataset]) -> None:
    scale = TargetScale.fit(make_dataset("data=demo_tiny", "data.target=strong_negative"))
    assert scale == TargetScale("binary", 0.0, 1.0)
    labels, logits = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([-2.0, 0.0, 3.0])
    assert torch.equal(scale.to_model(labels), labels)
    torch.testing.assert_close(scale.from_model(logits), 1 / (1 + torch.exp(-logits)))
    expected = nn.functional.binary_cross_entropy(scale.from_model(logits), labels)
    torch.testing.assert_close(label_loss(logits, labels, binary=True), expected)


def test_a_regression_target_has_the_squared_error() -> None:
    loss = label_loss(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]), binary=False)
    assert loss.item() == pytest.approx(2.5)


def test_every_label_of_the_training_split_is_standardised(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset("data=demo_tiny", "data.target=fitness")
    targets = training_targets(dataset)
    assert targets.name == "fitness"
    assert not targets.is_binary
    assert set(targets.values) == {"fitness", "gene_interaction", "strong_negative"}
    assert targets.binary == {"strong_negative"}
    assert len(targets) == len(dataset.split.train)
    for name in ("fitness", "gene_interaction"):
        measured = targets.values[name][~targets.values[name].isnan()]
        assert measured.mean().item() == pytest.approx(0, abs=1e-5)
        assert measured.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert set(targets.values["strong_negative"].nan_to_num(0).tolist()) == {0.0, 1.0}
    single = torch.from_numpy(dataset.genotypes.order[dataset.split.train] == 1)
    assert targets.values["gene_interaction"][single].isnan().all()
    assert len(targets[torch.tensor([3, 1])]) == 2
