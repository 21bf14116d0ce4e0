"""What is particular to PairwiseKernel: its solution, against one written down densely."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.config import assign, build, to_plain
from gisearch.data.cell_graph import CellGraph
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset, Target
from gisearch.errors import CheckpointError, ConfigError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.kernel import PairwiseKernelConfig
from gisearch.models.kernel import PairwiseKernel
from gisearch.models.targets import Targets
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import run_experiment
from gisearch.training.loop import EpochReport
from gisearch.training.metrics import score
from gisearch.training.target import training_targets

MakeDataset = Callable[..., Dataset]
EXACT = {"tolerance": 1e-13, "iterations": 400, "calibration_folds": 0}


def make(dataset: Dataset, changes: Mapping[str, Any] | None = None) -> PairwiseKernel:
    torch.manual_seed(0)
    config = build(PairwiseKernelConfig, assign({}, changes or {}))
    return config.build(dataset.cell, dataset.target).eval()


def training(dataset: Dataset, count: int | None = None) -> tuple[GenotypeBatch, Targets]:
    rows = dataset.split.train[:count]
    targets = training_targets(dataset)
    return GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows)), targets[slice(0, count)]


def validation(dataset: Dataset) -> GenotypeBatch:
    return GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.val))


def network_kernel(cell: CellGraph, name: str, spread: float, steps: int) -> np.ndarray[Any, Any]:
    a = np.zeros((cell.num_genes, cell.num_genes))
    source, target = cell.networks[name].edges
    a[source, target] = a[target, source] = 1.0
    root = np.maximum(a.sum(1), 1.0) ** -0.5
    walk = (1 - spread) * np.eye(len(a)) + spread * root[:, None] * a * root
    return unit(np.linalg.matrix_power(walk, 2 * steps))


def unit(k: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    d = np.sqrt(np.maximum(np.diag(k), 1e-300))
    return k / d / d[:, None]


def genotypes_of(batch: GenotypeBatch) -> list[list[int]]:
    pairs = zip(batch.deleted.tolist(), batch.present.tolist(), strict=True)
    return [[g for g, p in zip(genes, present, strict=True) if p] for genes, present in pairs]


def genes_kernel(
    dataset: Dataset, batch: GenotypeBatch, labels: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The default kernel between all genes of the cell, with the profiles of some training genotypes."""
    cell, size = dataset.cell, dataset.cell.num_genes
    networks = sum(network_kernel(cell, name, 0.5, 4) for name in cell.networks) / len(cell.networks)
    b = 0.33 * np.eye(size) + 0.67 * networks
    total = 0.15 * np.eye(size) + 0.1 * len(cell.networks) * networks
    neutral = 0.5 if dataset.target.kind == "binary" else 0.0
    y, seen = np.zeros((size, size)), np.zeros((size, size))
    genotypes = genotypes_of(batch)
    for genes, label in zip(genotypes, labels, strict=True):
        if len(genes) == 2:
            i, j = genes
            y[i, j] = y[j, i] = label - neutral
            seen[i, j] = seen[j, i] = 1.0
    known = np.array(sorted({g for genes in genotypes for g in genes}))
    power = np.maximum(seen.sum(0), 1.0) ** -0.25
    y, seen = (y * power)[known][:, known], (seen * power)[known][:, known]

    def filled(k: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        k = unit(k)
        np.fill_diagonal(k, 1.0)
        return k

    plain = filled(y @ y.T)
    at = np.ix_(known, known)
    total[at] += 0.25 * plain + 0.25 * filled(y @ b[at] @ y.T) + 0.2 * filled(seen @ seen.T)
    return total + 0.2 * unit(b[:, known] @ plain @ b[known])


def kernel_between(
    k: np.ndarray[Any, Any], left: list[list[int]], right: list[list[int]]
) -> np.ndarray[Any, Any]:
    """The kernel of genotypes, subset by subset and permutation by permutation."""
    weights = {1: 0.03, 2: 1.0, 3: 1.0}
    return np.array(
        [
            [
                sum(
                    weights[n] * sum(np.prod(k[list(p), list(q)]) for q in permutations(other))
                    for n in (1, 2, 3)
                    for p in combinations(g, n)
                    for other in combinations(h, n)
                )
                for h in right
            ]
            for g in left
        ]
    )


@pytest.fixture(scope="module", params=["fitness", "strong_negative"])
def case(request: pytest.FixtureRequest, make_dataset: MakeDataset) -> Dataset:
    return make_dataset("data=demo_tiny", f"data.target={request.param}")


def dense(dataset: Dataset, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Scores, less calibration, and posterior variances of the validation part, from the whole matrix."""
    batch, targets = training(dataset, count)
    labels = targets.main.double().numpy()
    left, right = genotypes_of(validation(dataset)), genotypes_of(batch)
    k = genes_kernel(dataset, batch, labels)
    order = np.array([len(genes) for genes in right])
    mean = {n: labels[order == n].mean() for n in set(order)}
    centred = labels - np.array([mean[n] for n in order])
    system = kernel_between(k, right, right) + 0.6 * np.eye(count)
    between = kernel_between(k, left, right)
    own = np.array([kernel_between(k, [g], [g])[0, 0] for g in left])
    scores = between @ np.linalg.solve(system, centred)
    scores += np.array([mean.get(len(genes), labels.mean()) for genes in left])
    return scores, own - (between * np.linalg.solve(system, between.T).T).sum(1)


def test_scores_and_spread_are_those_of_a_dense_solution(case: Dataset) -> None:
    count = 70
    model = make(case, {**EXACT, "std_neighbours": count})
    model.fit_epoch(*training(case, count))
    scores, variance = dense(case, count)
    found = model(validation(case))
    slope, offset, scale = model.state.calibration.tolist()
    np.testing.assert_allclose(found.score.numpy(), slope * scores + offset, rtol=0, atol=1e-8)
    assert found.std is not None
    if case.target.kind == "binary":
        p = 1.0 / (1.0 + np.exp(-(slope * scores + offset)))
        expected = p * (1.0 - p) * slope * np.sqrt(scale * variance)
    else:
        expected = np.sqrt(scale * (variance + 0.6))
    np.testing.assert_allclose(found.std.numpy(), expected, rtol=0, atol=1e-8)


def test_fewer_neighbours_never_make_a_model_surer(case: Dataset) -> None:
    spreads = []
    for neighbours in (70, 20, 3):
        model = make(case, {**EXACT, "std_neighbours": neighbours})
        model.fit_epoch(*training(case, 70))
        spreads.append(model(validation(case)).std)
    assert (spreads[1] >= spreads[0] - 1e-9).all()
    assert (spreads[2] >= spreads[1] - 1e-9).all()
    assert (spreads[2] > spreads[0] + 1e-6).any()


def test_epochs_take_the_steps_of_one_long_solution(case: Dataset) -> None:
    batch, targets = training(case)
    whole = make(case, {"iterations": 12, "tolerance": 1e-12, "calibration_folds": 0})
    whole.fit_epoch(batch, targets)
    parts = make(case, {"iterations": 4, "tolerance": 1e-12, "calibration_folds": 0})
    for _ in range(3):
        loss = parts.fit_epoch(batch, targets)
        assert loss == pytest.approx(targets.loss(parts(batch).score.float()).item(), rel=1e-5)
    assert torch.equal(parts.state.dual, whole.state.dual)


def test_what_has_converged_stays(case: Dataset) -> None:
    model, (batch, targets) = make(case, {"iterations": 400}), training(case)
    first = model.fit_epoch(batch, targets)
    before = model.state.dual.clone()
    assert model.state.residual.norm() <= 1e-4 * targets.main.norm()
    assert model.fit_epoch(batch, targets) == first
    assert torch.equal(model.state.dual, before)


def test_another_seed_gives_other_folds_alone(case: Dataset) -> None:
    batch, targets = training(case)
    one, other = make(case), make(case)
    other.seed += 1
    for model in (one, other):
        model.fit_epoch(batch, targets)
    assert torch.equal(one.state.dual, other.state.dual)
    assert not torch.equal(one.state.calibration, other.state.calibration)


def planted(seed: int = 0, genes: int = 40) -> tuple[Tensor, Tensor]:
    """Pairs of genes of two groups, whose label is more often 1 within a group than between them."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.combinations(torch.arange(genes))[
        torch.randperm(genes * (genes - 1) // 2, generator=generator)
    ]
    group = torch.arange(genes) % 2
    chance = torch.where(group[pairs[:, 0]] == group[pairs[:, 1]], 0.7, 0.3)
    return pairs, (torch.rand(len(pairs), generator=generator) < chance).float()


def fitted(
    pairs: Tensor, labels: Tensor, cell: CellGraph, changes: Mapping[str, Any] | None = None
) -> PairwiseKernel:
    torch.manual_seed(0)
    config = build(PairwiseKernelConfig, assign({"iterations": 100}, changes or {}))
    model = config.build(cell, Target("label", "binary")).eval()
    model.fit_epoch(GenotypeBatch.complete(pairs), Targets("label", {"label": labels}, frozenset({"label"})))
    return model


def held_out(model: PairwiseKernel, pairs: Tensor, labels: Tensor) -> dict[str, float]:
    found = torch.sigmoid(model(GenotypeBatch.complete(pairs)).score)
    loss = torch.nn.functional.binary_cross_entropy(found, labels.double()).item()
    return {**score("binary", found.float(), labels), "log_loss": loss}


def test_calibration_makes_probabilities_better(tiny_dataset: Dataset) -> None:
    pairs, labels = planted()
    found = {
        folds: held_out(
            fitted(pairs[:600], labels[:600], tiny_dataset.cell, {"calibration_folds": folds, "ridge": 0.05}),
            pairs[600:],
            labels[600:],
        )
        for folds in (0, 3)
    }
    assert found[3]["auroc"] == pytest.approx(found[0]["auroc"], abs=1e-6)
    assert found[3]["auroc"] > 0.6
    assert found[3]["log_loss"] < found[0]["log_loss"] - 0.01


def test_permuted_training_labels_bring_chance(tiny_dataset: Dataset) -> None:
    pairs, labels = planted()
    values = []
    for seed in range(6):
        shuffled = labels[:600][torch.randperm(600, generator=torch.Generator().manual_seed(seed))]
        model = fitted(pairs[:600], shuffled, tiny_dataset.cell)
        values.append(held_out(model, pairs[600:], labels[600:])["auroc"])
    assert abs(np.mean(values) - 0.5) < 0.06


def test_labels_of_other_parts_change_nothing(case: Dataset) -> None:
    """Nothing but the training part is asked for: the whole run is the same to the last bit."""
    batch, targets = training(case)
    model = make(case)
    model.fit_epoch(batch, targets)
    before = model(validation(case)).score
    labels = {name: values.copy() for name, values in case.genotypes.labels.items()}
    others = np.concatenate([case.split.val, case.split.test])
    for values in labels.values():
        values[others] = values[np.roll(others, 1)]
    changed = dataclasses.replace(case, genotypes=dataclasses.replace(case.genotypes, labels=labels))
    again = make(changed)
    again.fit_epoch(*training(changed))
    assert torch.equal(again(validation(changed)).score, before)


def test_genes_that_no_training_genotype_has_are_told_apart_by_their_neighbours(case: Dataset) -> None:
    batch, targets = training(case)
    known = batch.deleted[batch.present].unique()
    rows = ~(batch.deleted == known[0]).logical_and(batch.present).any(1)
    model = make(case)
    model.fit_epoch(batch[rows], targets[rows])
    assert known[0] not in model.state.training_genes()
    partners = known[1:6]
    pairs = torch.stack([known[0].expand(5), partners], dim=1)
    assert model(GenotypeBatch.complete(pairs)).score.unique().numel() == 5
    torch.testing.assert_close(model.scorer().score(pairs), model(GenotypeBatch.complete(pairs)).score)


EPOCHS = 5


class KilledError(Exception):
    """Stands for a process that dies."""


def test_a_continued_run_equals_an_uninterrupted_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    values = {
        "data": to_plain(compose_data(["data=demo_tiny"])),
        "model": {"name": "kernel", "iterations": 3, "std_neighbours": 8},
        "trainer": {"max_epochs": EPOCHS, "device": "cpu"},
    }
    config = build(ExperimentConfig, values)
    whole = run_experiment(config, tiny_dataset, folder=tmp_path / "whole")

    def die(report: EpochReport) -> None:
        if report.epoch == 2:
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


def test_a_solution_of_other_genotypes_cannot_be_continued(tiny_dataset: Dataset) -> None:
    model, (batch, targets) = make(tiny_dataset), training(tiny_dataset)
    model.fit_epoch(batch, targets)
    other = make(tiny_dataset)
    other.load_state_dict(model.state_dict())
    with pytest.raises(CheckpointError, match=r"^the loaded kernel model cannot be continued with these "):
        other.fit_epoch(batch[:100], targets[slice(0, 100)])


def test_one_training_genotype_is_too_few(tiny_dataset: Dataset) -> None:
    batch, targets = training(tiny_dataset, 1)
    with pytest.raises(DataError, match=r"needs at least 2 training genotypes.*got 1\.$"):
        make(tiny_dataset).fit_epoch(batch, targets)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks.weights": {"regulation": 0.1}}, r"no network 'regulation'.*Did you mean 'regulatory'\?"),
        ({"features.weights": {"length": 0.1}}, r"no gene features 'length'"),
    ],
)
def test_what_the_data_lacks_is_an_error(
    changes: dict[str, Any], message: str, tiny_dataset: Dataset
) -> None:
    config = build(PairwiseKernelConfig, assign({}, changes))
    for ask in (config.check, config.build):
        with pytest.raises(DataError, match=message):
            ask(tiny_dataset.cell, tiny_dataset.target)


def test_a_cell_without_networks_needs_another_weight(tiny_dataset: Dataset) -> None:
    alone = dataclasses.replace(tiny_dataset.cell, networks={})
    nothing = {"profile.signed": {"plain": 0.0}, "profile.design": {"plain": 0.0}, "identity": 0.0}
    config = build(PairwiseKernelConfig, assign({}, nothing))
    config.check(tiny_dataset.cell, tiny_dataset.target)
    with pytest.raises(
        DataError, match=r"^no kernel between genes has a weight: .*expected one at least above"
    ):
        config.check(alone, tiny_dataset.target)
    build(PairwiseKernelConfig, assign({}, {**nothing, "identity": 0.1})).check(alone, tiny_dataset.target)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration_folds": 1}, "expected 0 for none, or at least 2"),
        ({"orders": {"first": 0.0, "second": 0.0, "third": 0.0}}, "expected one at least above 0"),
        ({"networks.weights": {"physical": -0.1}}, "greater than or equal to 0"),
    ],
)
def test_bad_settings_are_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(PairwiseKernelConfig, assign({}, changes))
