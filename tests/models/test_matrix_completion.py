"""What is particular to MatrixCompletion: vectors tied to the networks, and a table of low rank."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gisearch.config import build, to_plain
from gisearch.data.cell_graph import CellGraph
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset, Target
from gisearch.errors import DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.matrix_completion import MatrixCompletionConfig
from gisearch.models.matrix_completion import MatrixCompletion
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import run_experiment
from gisearch.training.loop import EpochReport
from tests.models.planted import UNSEEN, fit, found, planted

TARGET = Target("gene_interaction", "regression")
TABLE = np.array([[3, -1, -1], [3, 8, -1], [3, 8, 21], [-1, 5, 0]])


def make(cell: CellGraph, **changes: Any) -> MatrixCompletion:
    torch.manual_seed(0)
    return build(MatrixCompletionConfig, changes).build(cell, TARGET).eval()


def neighbours_mean(cell: CellGraph) -> torch.Tensor:
    """P as the paper defines it, for one network or several: a row per gene sums to one, or to zero."""
    total, holding = np.zeros((cell.num_genes, cell.num_genes)), np.zeros((cell.num_genes, 1))
    for network in cell.networks.values():
        edges = np.zeros_like(total)
        scores = np.ones(network.num_edges) if network.scores is None else network.scores
        np.maximum.at(edges, (network.edges[0], network.edges[1]), scores)
        edges = np.maximum(edges, edges.T)
        strength = edges.sum(1, keepdims=True)
        total += edges / np.where(strength > 0, strength, 1)
        holding += strength > 0
    return torch.from_numpy(total / np.maximum(holding, 1)).float()


@pytest.mark.parametrize("tie_effects", [True, False])
def test_the_score_as_it_is_defined(tie_effects: bool, tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, rank=5, tie=0.6, hops=2, tie_effects=tie_effects)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    tied = 0.6 * neighbours_mean(tiny_cell)
    spread = torch.eye(tiny_cell.num_genes) + tied + tied @ tied
    vector = spread @ model.pairs.own
    effect = spread @ model.effects.effect if tie_effects else model.effects.effect
    prediction = model(GenotypeBatch.from_table(TABLE))
    for row, score in zip(TABLE, prediction.score, strict=True):
        genes = [gene for gene in row if gene >= 0]
        pairs = sum((vector[a] * model.pairs.sign) @ vector[b] for a, b in combinations(genes, 2))
        torch.testing.assert_close(score, model.effects.bias[0] + effect[genes].sum() + pairs)
    assert prediction.details["pairs"][0] == 0, "a single deletion has no pair"
    torch.testing.assert_close(prediction.details["additive"] + prediction.details["pairs"], prediction.score)


def test_both_signs_are_there_from_the_start(tiny_cell: CellGraph) -> None:
    assert make(tiny_cell, rank=5).pairs.sign.tolist() == [1, -1, 1, -1, 1]


def test_a_gene_without_anything_of_its_own_is_its_neighbours_mean(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, tie=0.5, hops=16)
    with torch.no_grad():
        model.pairs.own[7] = 0.0
        vectors, _ = model.genes()
    torch.testing.assert_close(vectors[7], 0.5 * neighbours_mean(tiny_cell)[7] @ vectors, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_what_is_planted_is_found_and_chance_is_not(kind: Any) -> None:
    chance = 0.5 if kind == "binary" else 0.0
    dataset, shuffled = planted(kind), planted(kind, permute="train")
    assert found(fit(make(dataset.cell, rank=8), dataset), dataset) > chance + 0.35
    assert abs(found(fit(make(dataset.cell, rank=8), shuffled), dataset) - chance) < 0.15


def test_unseen_genes_are_known_by_their_neighbours_alone() -> None:
    dataset = planted(unseen=True)
    trained = dataset.genotypes.subset(dataset.split.train)
    assert not np.isin(trained.genes, UNSEEN).any()
    tied, free = (found(fit(make(dataset.cell, rank=8, tie=t), dataset), dataset) for t in (0.8, 0.0))
    assert tied > 0.5
    assert free < 0.3


class KilledError(Exception):
    """Stands for a process that dies."""


def test_a_continued_run_equals_an_uninterrupted_one(tiny_dataset: Dataset, tmp_path: Path) -> None:
    values = {
        "data": to_plain(compose_data(["data=demo_tiny"])),
        "model": {"name": "matrix_completion", "rank": 4},
        "trainer": {"max_epochs": 4, "checkpoint_seconds": 0.0, "device": "cpu"},
    }
    config = build(ExperimentConfig, values)
    whole = run_experiment(config, tiny_dataset, folder=tmp_path / "whole")

    def die(report: EpochReport) -> None:
        if report.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run_experiment(config, tiny_dataset, folder=tmp_path / "again", report=die)
    again = run_experiment(config, tiny_dataset, folder=tmp_path / "again")
    assert (again.value, again.best_epoch) == (whole.value, whole.best_epoch)
    for name in (BEST, LAST):
        state, expected = (CheckpointStore(tmp_path / f).load(name)["model"] for f in ("again", "whole"))
        assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_a_network_that_the_data_lacks_is_an_error(tiny_dataset: Dataset) -> None:
    config = build(MatrixCompletionConfig, {"networks": ["regulation"]})
    with pytest.raises(DataError, match=r"no network 'regulation'.*Did you mean 'regulatory'\?"):
        config.check(tiny_dataset.cell, TARGET)
    without = CellGraph(tiny_dataset.cell.names)
    with pytest.raises(DataError, match=r"no gene network, which this model needs"):
        MatrixCompletionConfig().check(without, TARGET)
