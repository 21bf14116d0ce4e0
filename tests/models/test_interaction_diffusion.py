"""What is particular to InteractionDiffusion: kernels of labels, and a scale without own labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.config import build, to_plain
from gisearch.data.cell_graph import CellGraph
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset, Target
from gisearch.errors import DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.interaction_diffusion import InteractionDiffusionConfig
from gisearch.models.interaction_diffusion import InteractionDiffusion
from gisearch.models.targets import Targets
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import load_trained, run_experiment
from gisearch.training.loop import EpochReport
from gisearch.training.target import training_targets
from tests.models.planted import GENES, UNSEEN, fit, found, planted, training_batch


def make(dataset: Dataset, **changes: Any) -> InteractionDiffusion:
    torch.manual_seed(0)
    config = build(InteractionDiffusionConfig, changes)
    return config.build(dataset.cell, dataset.target).eval()


def normalised(dataset: Dataset, weights: Tensor) -> Tensor:
    """The normalised adjacency of training pairs with these weights, [N, N]."""
    a = torch.zeros(GENES, GENES, dtype=torch.float64)
    first, second = training_batch(dataset).deleted[:, :2].T
    a[first, second] = a[second, first] = weights
    degree = a.abs().sum(1)
    root = torch.where(degree > 0, degree, 1.0).sqrt()
    return a / root.unsqueeze(1) / root


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_the_kernel_is_the_hyperbolic_sine_of_the_training_interactions(kind: Any, signed: bool) -> None:
    dataset = planted(kind)
    model = fit(make(dataset, beta=2.0, signed=signed, network_weight=0.0), dataset)
    labels = training_targets(dataset).main.double()
    negative = labels if kind == "binary" else (labels.mean() - labels).clamp_min(0)
    a = normalised(dataset, labels - labels.mean() if signed else negative)
    kernel = (torch.linalg.matrix_exp(2 * a) - torch.linalg.matrix_exp(-2 * a)) / 2 / math.sinh(2)
    test = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test))
    expected = kernel[test.deleted[:, 0], test.deleted[:, 1]]
    torch.testing.assert_close(model(test).details["odd"].double(), expected, rtol=0, atol=1e-6)


def test_networks_spread_the_kernel_over_both_genes() -> None:
    dataset = planted(unseen=True)
    model = fit(make(dataset, beta=2.0, network_weight=0.4, hops=2), dataset)
    labels = training_targets(dataset).main.double()
    a = normalised(dataset, labels - labels.mean())
    kernel = (torch.linalg.matrix_exp(2 * a) - torch.linalg.matrix_exp(-2 * a)) / 2 / math.sinh(2)
    edges = torch.zeros(GENES, GENES, dtype=torch.float64)
    edges[tuple(dataset.cell.networks["near"].edges)] = 0.4
    step = edges / (edges.sum(1, keepdim=True) / 0.4).clamp_min(1)
    spread = torch.eye(GENES, dtype=torch.float64) + step + step @ step
    test = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test))
    expected = (spread @ kernel @ spread.T)[test.deleted[:, 0], test.deleted[:, 1]]
    torch.testing.assert_close(model(test).details["odd"].double(), expected, rtol=0, atol=1e-5)


def test_no_training_genotype_is_scored_with_its_own_label() -> None:
    dataset = planted()
    batch, labels = training_batch(dataset), training_targets(dataset).main.double()
    model = make(dataset, walks="both")
    training = model.prepare(batch)
    before = model.held_out_features(training, labels)
    changed = labels.clone()
    changed[17] += 3.0
    after = model.held_out_features(training, changed)
    assert torch.equal(after[17], before[17])
    others = (after != before).any(1)
    assert others.sum() > len(batch) / 2, "the label does reach the others"


def test_the_scale_is_that_of_the_held_out_scores() -> None:
    """Training genotypes are scored well by a graph with their own labels, and that must not count."""
    dataset = planted(permute="train")
    batch, targets = training_batch(dataset), training_targets(dataset)
    model = make(dataset, beta=1.0)
    loss = model.fit_epoch(batch, targets)
    own = torch.corrcoef(torch.stack([model(batch).details["odd"], targets.main]))[0, 1]
    assert own > 0.5
    assert loss > 0.97, "labels by chance have a variance of one, and nothing explains it"
    assert model(batch).score.std() < 0.5


def test_labels_of_other_parts_change_no_bit() -> None:
    dataset, permuted = planted(), planted(permute="rest")
    assert not np.array_equal(dataset.values("val"), permuted.values("val"))
    one, other = (fit(make(data), data).state_dict() for data in (dataset, permuted))
    assert all(torch.equal(other[name], value) for name, value in one.items())


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_what_is_planted_is_found_and_chance_is_not(kind: Any) -> None:
    chance = 0.5 if kind == "binary" else 0.0
    dataset, shuffled = planted(kind), planted(kind, permute="train")
    assert found(fit(make(dataset), dataset), dataset) > chance + 0.35
    assert abs(found(fit(make(shuffled), shuffled), dataset) - chance) < 0.15


def test_unseen_genes_are_known_by_their_neighbours_alone() -> None:
    dataset = planted(unseen=True)
    near, alone = (fit(make(dataset, network_weight=w), dataset) for w in (0.8, 0.0))
    assert found(near, dataset) > 0.5
    assert not alone.walks.vector[UNSEEN].any()
    assert found(alone, dataset) < 0.3


def test_the_first_epoch_solves_and_a_loaded_state_is_solved_again(tiny_dataset: Dataset) -> None:
    rows = tiny_dataset.split.train
    batch = GenotypeBatch.from_genotypes(tiny_dataset.genotypes.subset(rows))
    targets = training_targets(tiny_dataset)
    model, continued = make(tiny_dataset), make(tiny_dataset)
    assert not model(batch).score.any()
    loss = model.fit_epoch(batch, targets)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.fit_epoch(batch, targets) == loss
    continued.load_state_dict(state)
    assert torch.equal(continued(batch).score, model(batch).score)
    assert continued.fit_epoch(batch, targets) == loss
    for found_state in (model.state_dict(), continued.state_dict()):
        assert all(torch.equal(found_state[name], value) for name, value in state.items())
    assert model.num_parameters()["total"] == sum(value.numel() for value in state.values())


class KilledError(Exception):
    """Stands for a process that dies."""


def test_a_continued_run_equals_an_uninterrupted_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    values = {
        "data": to_plain(compose_data(["data=demo_tiny"])),
        "model": {"name": "interaction_diffusion", "walks": "both"},
        "trainer": {"max_epochs": 3, "checkpoint_seconds": 0.0, "device": "cpu"},
    }
    config = build(ExperimentConfig, values)
    whole = run_experiment(config, tiny_dataset, folder=tmp_path / "whole")

    def die(report: EpochReport) -> None:
        if report.epoch == 1:
            raise KilledError

    with pytest.raises(KilledError):
        run_experiment(config, tiny_dataset, folder=tmp_path / "again", report=die)
    again = run_experiment(config, tiny_dataset, folder=tmp_path / "again")
    assert (again.value, again.best_epoch, again.epochs) == (whole.value, 1, 3)
    for name in (BEST, LAST):
        state, expected = (CheckpointStore(tmp_path / f).load(name)["model"] for f in ("again", "whole"))
        assert all(torch.equal(state[key], value) for key, value in expected.items())
    trained = load_trained(tmp_path / "again", tiny_dataset)
    val = GenotypeBatch.from_genotypes(tiny_dataset.genotypes.subset(tiny_dataset.split.val))
    scores = trained.predict(val)[0].numpy()
    assert np.corrcoef(scores, tiny_dataset.values("val"))[0, 1] == pytest.approx(whole.value, abs=1e-5)


def test_few_training_genotypes_are_enough() -> None:
    """Fewer than there are folds, and one without a pair."""
    dataset = planted()
    batch = GenotypeBatch.from_table(np.array([[0, 1, -1], [2, -1, -1], [1, 2, 3]]))
    targets = Targets("label", {"label": torch.tensor([1.0, -1.0, 0.5])})
    model = make(dataset)
    assert math.isfinite(model.fit_epoch(batch, targets))
    assert torch.isfinite(model(batch).score).all()


def test_a_network_that_the_data_lacks_is_an_error(tiny_cell: CellGraph) -> None:
    config = build(InteractionDiffusionConfig, {"networks": ["regulation"]})
    target = Target("gene_interaction", "regression")
    for ask in (config.check, config.build):
        with pytest.raises(DataError, match=r"no network 'regulation'.*Did you mean 'regulatory'\?"):
            ask(tiny_cell, target)
