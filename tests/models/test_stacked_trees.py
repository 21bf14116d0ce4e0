"""What is particular to StackedTrees: votes against their formula, and what training genotypes are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gisearch.config import assign, build, to_plain
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset
from gisearch.errors import DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.stacked_trees import StackedTreesConfig
from gisearch.models.kernels.votes import NAMES, PairVotes
from gisearch.models.stacked_trees import StackedTrees
from gisearch.training.checkpoint import BEST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import load_trained, run_experiment
from gisearch.training.target import training_targets
from tests.models.planted import found, planted, training_batch

SMALL = {"min_samples_leaf": 5, "trees_per_epoch": 60, "network_features": False}


def make(dataset: Dataset, changes: Mapping[str, Any] | None = None) -> StackedTrees:
    torch.manual_seed(0)
    return build(StackedTreesConfig, assign(SMALL, changes or {})).build(dataset.cell, dataset.target)


def fitted(dataset: Dataset, changes: Mapping[str, Any] | None = None) -> StackedTrees:
    model = make(dataset, changes)
    model.fit_epoch(training_batch(dataset), training_targets(dataset))
    return model.eval()


def test_votes_are_those_of_similar_genes() -> None:
    dataset = planted()
    model = fitted(dataset)
    machine = model._machine(model.similarity)
    described = PairVotes(machine, model.state.dual.double())
    test = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test[:20]))
    found_numbers = described.of(test.deleted[:, :2]).numpy()
    size = dataset.cell.num_genes
    known, labels = np.zeros((size, size)), np.zeros((size, size))
    values = training_targets(dataset).main.double().numpy()
    for (a, b), value in zip(
        training_batch(dataset).deleted[:, :2].tolist(), values - values.mean(), strict=True
    ):
        known[a, b] = known[b, a] = 1.0
        labels[a, b] = labels[b, a] = value
    # Every gene of the planted cell is in training, in the order of its places.
    assert torch.equal(machine.places, torch.arange(size))
    for by, kernel in (("all", machine.kernel.square), ("given", machine.among.total)):
        similar = kernel.numpy() / machine.kernel.square.diagonal().mean().item()
        weight = np.maximum(similar, 0.0) ** 2
        np.fill_diagonal(weight, 0.0)
        for row, (a, b) in zip(found_numbers, test.deleted[:, :2].tolist(), strict=True):
            if known[a].sum() < known[b].sum():
                a, b = b, a
            told = dict(zip(NAMES, row, strict=True))
            assert told["pairs_high"] == known[a].sum()
            assert told["pairs_low"] == known[b].sum()
            assert told["common"] == (known[a] * known[b]).sum()
            assert told["agreement"] == pytest.approx((labels[a] * labels[b]).sum())
            if known[a].sum() == known[b].sum():
                continue
            behind = (weight[a] * known[b]).sum()
            assert told[f"to_weight_{by}"] == pytest.approx(behind)
            assert told[f"to_vote_{by}"] == pytest.approx((weight[a] * labels[b]).sum() / (behind + 0.02))
            behind = (weight[b] * known[a]).sum()
            assert told[f"from_vote_{by}"] == pytest.approx((weight[b] * labels[a]).sum() / (behind + 0.02))


def test_the_order_of_genes_and_what_else_is_asked_do_not_matter() -> None:
    dataset = planted()
    model = fitted(dataset)
    votes = model._prepared()
    assert votes is not None
    pairs = torch.tensor([[3, 40], [7, 12], [3, -1], [3, 40]])
    alone = [votes.of(pair.unsqueeze(0)) for pair in pairs]
    together = votes.of(pairs)
    flipped = votes.of(pairs[:2].flip(1))
    torch.testing.assert_close(together, torch.cat(alone), equal_nan=True, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(together[:2], flipped, equal_nan=True, rtol=1e-9, atol=1e-9)
    assert together[2, 5:].isnan().all(), "a single deletion has no pair"


def test_a_training_genotype_is_described_without_its_label() -> None:
    dataset = planted()
    batch, targets = training_batch(dataset), training_targets(dataset)
    before = make(dataset).describe_training(batch, targets)
    for row in (0, 100, 899):
        values = targets.main.clone()
        values[row] += 5.0
        after = make(dataset).describe_training(
            batch, replace(targets, values={**targets.values, "label": values})
        )
        torch.testing.assert_close(after[row], before[row], equal_nan=True, rtol=0, atol=0)
        assert not torch.equal(after.nan_to_num(), before.nan_to_num()), "others know it"


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_finds_what_is_planted_and_nothing_in_permuted_labels(kind: Any) -> None:
    chance = 0.5 if kind == "binary" else 0.0
    assert found(fitted(planted(kind)), planted(kind)) > chance + 0.35
    permuted = planted(kind, permute="train")
    assert found(fitted(permuted), permuted) == pytest.approx(chance, abs=0.16)


def test_labels_that_do_not_train_change_no_bit() -> None:
    plain, other = (fitted(planted("binary", permute=p)).state_dict() for p in (None, "rest"))
    assert plain.keys() == other.keys()
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_scores_genes_that_no_training_genotype_holds() -> None:
    dataset = planted(unseen=True)
    model = fitted(dataset, {"kernel.profile.signed.neighbours": 0.3})
    test = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test))
    assert torch.isfinite(model(test).score).all()
    assert found(model, dataset) > 0.2


def test_a_run_that_goes_on_and_one_that_is_loaded_give_the_same(tmp_path: Path) -> None:
    values = {
        "data": to_plain(compose_data(["data=demo_tiny", "data.target=fitness"])),
        "model": {"name": "stacked_trees", "min_samples_leaf": 3, "trees_per_epoch": 5},
        "trainer": {"max_epochs": 4},
    }
    from gisearch.data.load import load_dataset

    config = build(ExperimentConfig, values)
    dataset = load_dataset(config.data)
    whole = run_experiment(config, dataset, folder=tmp_path / "whole")
    short = build(ExperimentConfig, {**values, "trainer": {"max_epochs": 2}})
    run_experiment(short, dataset, folder=tmp_path / "parts")
    # The same run with more epochs is another configuration; its own checkpoint is moved over.
    state = CheckpointStore(tmp_path / "parts").load_last()
    assert state is not None
    parts = CheckpointStore(tmp_path / "more")
    (tmp_path / "more").mkdir()
    parts.save("last.pt", {**state, "config": to_plain(config)})
    parts.save(BEST, {**CheckpointStore(tmp_path / "parts").load(BEST), "config": to_plain(config)})
    resumed = run_experiment(config, dataset, folder=tmp_path / "more")
    assert resumed.value == pytest.approx(whole.value, abs=1e-6)
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test))
    scores = [load_trained(tmp_path / name, dataset).predict(batch)[0] for name in ("whole", "more")]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-6, atol=1e-6)


def test_a_network_that_is_not_there() -> None:
    dataset = planted()
    with pytest.raises(DataError, match="no network 'far'"):
        make(dataset, {"kernel.networks.weights": {"far": 0.3}})
