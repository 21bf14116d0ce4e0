"""Training on derived networks: every genotype on a cell graph that does not know its label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.config import to_plain
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Dataset, Target
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import Split
from gisearch.errors import CheckpointError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.whole_batch import WholeBatch
from gisearch.training.cells import cell_of, derived_cells
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.cross_fitting import CrossFit, StepModels
from gisearch.training.experiment import build_model, load_trained, run_experiment
from gisearch.training.loop import EpochReport

Experiment = Callable[..., ExperimentConfig]

MODULES, SIZE = 10, 6
GENES = MODULES * SIZE
DERIVED: dict[str, Any] = {
    "derived.negative": True,
    "derived.positive": True,
    "derived.profile.similarity": "raw",
    "derived.profile.top_k": 5,
}
# Embeddings that networks only smooth, and pair scores: what a screen of this size can teach.
MODEL: dict[str, Any] = {
    "model.hidden_dim": 16,
    "model.encoder.convolution": "lightgcn",
    "model.encoder.graph_aggregation": "sum",
    "model.encoder.residual": True,
    "model.encoder.norm": "none",
    "model.encoder.dropout": 0.0,
    "model.local_predictor.scorer": "bilinear",
    "optimizer.weight_decay": 0.5,
    "optimizer.lr": 0.03,
    "trainer.batch_size": 64,
    "trainer.max_epochs": 6,
}


def planted_screen(permutation: int | None = None) -> Dataset:
    """Pairs of genes in modules: which modules interact decides nine labels in ten; the network is noise.

    Args:
        permutation: permutes the training labels.
    """
    generator = np.random.default_rng(11)
    module = np.arange(GENES) % MODULES
    interacts = np.triu(generator.random((MODULES, MODULES)) < 0.5)
    interacts |= interacts.T
    pairs = np.stack(np.triu_indices(GENES, 1), axis=1)
    pairs = generator.permutation(pairs)[:1500]
    label = interacts[module[pairs[:, 0]], module[pairs[:, 1]]] ^ (generator.random(len(pairs)) < 0.1)
    train, val, test = np.split(np.arange(len(pairs)), [1000, 1100])
    values = label.astype(np.float64)
    if permutation is not None:
        values[train] = np.random.default_rng(permutation).permutation(values[train])
    genotypes = Genotypes.build(pairs.tolist(), {"sick": values}, binary=frozenset({"sick"}), num_genes=GENES)
    names = tuple(f"YAL{i:03d}C" for i in range(GENES))
    noise = generator.integers(GENES, size=(2, 100))
    network = Network.from_pairs("noise", noise, directed=False, num_genes=GENES)
    cell = CellGraph(GeneNames(names, names, {}), {"noise": network})
    split = Split(train=train, val=val, test=test, unseen=np.zeros(len(pairs), dtype=np.int8))
    return Dataset(cell, genotypes, split, Target("sick", "binary"))


def auroc(scores: Tensor, labels: np.ndarray[Any, Any]) -> float:
    positive, negative = scores[labels == 1, None], scores[None, labels == 0]
    return float(((positive > negative).double() + 0.5 * (positive == negative).double()).mean())


def held_out(dataset: Dataset, folder: Path) -> float:
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test))
    return auroc(load_trained(folder, dataset).predict(batch)[0], dataset.values("test"))


def test_planted_modules_are_found_and_permuted_labels_tell_nothing(
    experiment: Experiment, tmp_path: Path
) -> None:
    def score(name: str, changes: dict[str, Any], permutation: int | None = None) -> float:
        dataset = planted_screen(permutation)
        run_experiment(experiment({**MODEL, **changes}), dataset, folder=tmp_path / name)
        return held_out(dataset, tmp_path / name)

    derived, plain = score("derived", DERIVED), score("plain", {})
    assert derived > max(0.75, plain + 0.03), (derived, plain)
    # 400 test pairs: the standard error at chance is 0.029.
    chance = [score(f"permuted{i}", DERIVED, i) for i in range(3)]
    assert max(abs(value - 0.5) for value in chance) < 3 * 0.029, chance
    assert abs(np.mean(chance) - 0.5) < 3 * 0.029 / np.sqrt(3), chance


def final_weights(config: ExperimentConfig, dataset: Dataset, folder: Path) -> dict[str, Tensor]:
    run_experiment(config, dataset, folder=folder)
    weights: dict[str, Tensor] = CheckpointStore(folder).load(LAST)["model"]
    return weights


def test_validation_and_test_labels_change_no_bit_of_training(experiment: Experiment, tmp_path: Path) -> None:
    config = experiment({**MODEL, **DERIVED, "trainer.max_epochs": 2, "derived.profile_features": 4})
    dataset = planted_screen()
    values = dataset.genotypes.labels["sick"].copy()
    for part in ("val", "test"):
        rows = dataset.split.part(part)
        values[rows] = np.random.default_rng(1).permutation(values[rows])
    assert (values != dataset.genotypes.labels["sick"]).sum() > 50
    other = replace(dataset, genotypes=replace(dataset.genotypes, labels={"sick": values}))
    before, after = (
        final_weights(config, data, tmp_path / name) for name, data in (("a", dataset), ("b", other))
    )
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def step_models(config: ExperimentConfig, dataset: Dataset) -> StepModels:
    cells = derived_cells(config, dataset)

    def build(fold: int) -> Any:
        torch.manual_seed(fold)  # what is drawn must not matter
        return config.model.build(cells.folds[fold], dataset.target)

    cross_fit = CrossFit(torch.from_numpy(cells.fold), build, len(cells.folds))
    return StepModels(build_model(config, dataset), torch.device("cpu"), cross_fit)


def test_siblings_have_the_model_s_parameters_and_their_own_networks(experiment: Experiment) -> None:
    config, dataset = experiment({**MODEL, **DERIVED}), planted_screen()
    model = build_model(config, dataset)
    models = step_models(config, dataset)
    own = dict(model.named_parameters())
    assert len(list(models.parameters())) == len(own)
    for sibling in models.models:
        assert sibling.monitor is models.models[0].monitor
        for (name, parameter), first in zip(
            sibling.named_parameters(), models.models[0].parameters(), strict=True
        ):
            assert parameter is first, name
            assert torch.equal(parameter, own[name]), name
    edges = [sibling.encoder.neighbours.source for sibling in models.models]  # type: ignore[union-attr]
    assert len({tuple(edge.tolist()) for edge in edges}) == len(edges) == 5  # type: ignore[union-attr, operator]


def test_equal_buffers_are_held_once(experiment: Experiment) -> None:
    config = experiment({**MODEL, "derived.profile_features": 4, "derived.folds": 3})
    models = step_models(config, planted_screen())
    pointers = {m.encoder.neighbours.source.data_ptr() for m in models.models}  # type: ignore[union-attr, operator]
    assert len(pointers) == 1


def test_every_batch_is_of_one_fold_and_an_epoch_of_all_genotypes(experiment: Experiment) -> None:
    config, dataset = experiment({**MODEL, **DERIVED, "derived.folds": 4}), planted_screen()
    models = step_models(config, dataset)
    assert models.fold is not None
    epochs = []
    for epoch in (1, 2, 1):
        batches = list(models.batches(7, epoch, 1000, 64))
        assert len(batches) == models.steps_per_epoch(1000, 64) == 4 * 4
        for batch in batches:
            assert (models.fold[batch.rows] == batch.fold).all()
            assert len(batch.rows) in (62, 63), "no fold ends with a small batch"
        order = torch.cat([batch.rows for batch in batches])
        assert order.sort().values.tolist() == list(range(1000))
        assert [b.fold for b in batches] != sorted(b.fold for b in batches), "folds take turns"
        epochs.append(order.tolist())
    assert epochs[0] == epochs[2] != epochs[1]


def test_every_model_hears_of_an_epoch_and_of_a_shared_batch(experiment: Experiment) -> None:
    config = experiment({**DERIVED, "model": {"name": "dango", "hidden_dim": 8}, "derived.folds": 3})
    models = step_models(config, planted_screen())
    whole_batch = WholeBatch()
    models.eval()
    models.start_epoch(10**6)
    models.share_batch(whole_batch)
    for model in models.models:
        assert model.training
        assert model.whole_batch is whole_batch
        assert model.interaction_weight != models.models[0].config.schedule.interaction_weight(1)  # type: ignore[union-attr]


class KilledError(Exception):
    """Stands for a process that dies in the middle."""


def test_a_continued_run_equals_an_uninterrupted_one(experiment: Experiment, tmp_path: Path) -> None:
    changes = {"trainer.max_epochs": 4, "model.global_predictor.dropout": 0.2, "derived.profile_features": 4}
    config, dataset = experiment({**MODEL, **DERIVED, **changes}), planted_screen()
    whole = final_weights(config, dataset, tmp_path / "whole")

    def die(report: EpochReport) -> None:
        if report.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run_experiment(config, dataset, folder=tmp_path / "killed", report=die)
    torch.manual_seed(99)
    continued = final_weights(config, dataset, tmp_path / "killed")
    for name, weight in whole.items():
        torch.testing.assert_close(continued[name], weight, rtol=0, atol=1e-6)


def test_a_run_from_before_there_was_a_section_goes_on(
    experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment()

    def die(report: EpochReport) -> None:
        if report.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run_experiment(config, tiny_dataset, folder=tmp_path, report=die)
    store = CheckpointStore(tmp_path)
    for name in (LAST, BEST):
        state = store.load(name)
        del state["config"]["derived"], state["format"]
        store.save(name, state)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text[: text.index("derived:")])
    epochs: list[int] = []
    run_experiment(config, tiny_dataset, folder=tmp_path, report=lambda report: epochs.append(report.epoch))
    assert epochs == [3, 4]
    load_trained(tmp_path, tiny_dataset)
    with pytest.raises(CheckpointError, match=r"they differ in derived.positive"):
        run_experiment(experiment({"derived.positive": True}), tiny_dataset, folder=tmp_path)


def test_predictions_know_the_whole_training_part(experiment: Experiment, tmp_path: Path) -> None:
    """What is loaded predicts as the trainer did, on what all training labels tell."""
    config, dataset = experiment({**MODEL, **DERIVED, "trainer.max_epochs": 3}), planted_screen()
    result = run_experiment(config, dataset, folder=tmp_path)
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.val))
    scores, _ = load_trained(tmp_path, dataset).predict(batch)
    assert auroc(scores, dataset.values("val")) == pytest.approx(result.value, abs=1e-6)
    positive = cell_of(config, dataset).networks["derived_positive"]
    assert positive.num_edges == 2 * int((dataset.values("train") == 1).sum())


def test_what_was_derived_is_kept_for_the_next_trial(experiment: Experiment) -> None:
    dataset, other = planted_screen(), planted_screen(0)
    first = derived_cells(experiment(DERIVED), dataset)
    assert derived_cells(experiment({**DERIVED, "optimizer.lr": 0.1, "seed": 5}), dataset) is first
    assert derived_cells(experiment({**DERIVED, "derived.seed": 1}), dataset) is not first
    assert derived_cells(experiment(DERIVED), other) is not first
    assert "derived" in to_plain(experiment(DERIVED))
