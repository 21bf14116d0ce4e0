"""What is particular to HeteroCellBipartite: the move from fitness to interactions, and its predictor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.errors import ConfigError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.hetero_cell_bipartite import HeteroCellBipartiteConfig
from gisearch.models.hetero_cell_bipartite import HeteroCellBipartite
from gisearch.models.targets import Targets

FITNESS = Target("fitness", "regression")
INTERACTION = Target("gene_interaction", "regression")
BATCH = GenotypeBatch.from_table(np.array([[3, -1, -1], [3, 8, -1], [3, 8, 21], [0, 5, -1]]))
NAN = float("nan")
VALUES = {
    "fitness": torch.tensor([0.1, -0.4, 1.2, NAN]),
    "gene_interaction": torch.tensor([0.4, -1.0, 0.5, 0.2]),
}
NO_CELL_TERM = {"losses.cell": 0.0, "transition_epochs": 4}


def make(
    cell: CellGraph, changes: Mapping[str, Any] | None = None, target: Target = INTERACTION
) -> HeteroCellBipartite:
    torch.manual_seed(0)
    config = build(HeteroCellBipartiteConfig, assign({"hidden_dim": 16}, changes or {}))
    return config.build(cell, target).eval()


def loss_of(model: HeteroCellBipartite, *labels: str, values: Mapping[str, Tensor] = VALUES) -> Tensor:
    name = "fitness" if model.predicts_fitness else "gene_interaction"
    return model.training_loss(BATCH, Targets(name, {label: values[label] for label in labels}))


@pytest.mark.parametrize(("epoch", "alpha"), [(1, 0.0), (2, 0.25), (3, 0.5), (5, 1.0), (6, 1.0), (50, 1.0)])
def test_the_loss_moves_from_fitness_to_the_interaction(
    epoch: int, alpha: float, tiny_cell: CellGraph
) -> None:
    model = make(tiny_cell, NO_CELL_TERM)
    interaction = loss_of(model, "gene_interaction")
    both = make(tiny_cell, NO_CELL_TERM, FITNESS)
    fitness = loss_of(both, "fitness")
    before = model(BATCH)
    model.start_epoch(epoch)
    assert model.alpha == alpha
    torch.testing.assert_close(
        loss_of(model, "fitness", "gene_interaction"), alpha * interaction + (1 - alpha) * fitness
    )
    after = model(BATCH)
    assert torch.equal(after.score, before.score), "predictions are left alone"
    assert torch.equal(after.details["fitness"], before.details["fitness"])


def test_the_epoch_alone_decides(tiny_cell: CellGraph) -> None:
    """A continued run starts in the middle."""
    model = make(tiny_cell, NO_CELL_TERM)
    for epoch in (9, 1, 3):
        model.start_epoch(epoch)
    assert model.alpha == 0.5


def test_no_transition_learns_the_interaction_alone(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, {"losses.cell": 0.0, "transition_epochs": 0})
    model.start_epoch(1)
    torch.testing.assert_close(
        loss_of(model, "fitness", "gene_interaction"), loss_of(model, "gene_interaction")
    )


def test_a_target_of_fitness_is_learnt_to_the_end(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, NO_CELL_TERM, FITNESS)
    losses = []
    for epoch in (1, 3, 20):
        model.start_epoch(epoch)
        losses.append(loss_of(model, "fitness", "gene_interaction"))
    assert losses[0] == losses[1] == losses[2] > loss_of(model, "fitness")


@pytest.mark.parametrize("labels", [["gene_interaction"], ["gene_interaction", "fitness"]])
def test_without_measured_fitness_the_interaction_is_learnt_from_the_start(
    labels: list[str], tiny_cell: CellGraph
) -> None:
    model = make(tiny_cell, NO_CELL_TERM)
    values = {**VALUES, "fitness": torch.full((4,), NAN)}
    expected = loss_of(model, "gene_interaction")
    assert expected > 0
    model.start_epoch(1)
    torch.testing.assert_close(loss_of(model, *labels, values=values), expected)


def test_the_interaction_is_read_from_the_deleted_genes_by_one_layer_of_attention(
    tiny_cell: CellGraph,
) -> None:
    model = make(tiny_cell)
    cells = model.readouts(BATCH).cells
    prediction = model(BATCH)
    assert len(model.interaction_head.dynamic) == 1
    expected = model.interaction_head(cells.deleted, cells.present)
    torch.testing.assert_close(prediction.score, expected)
    torch.testing.assert_close(prediction.details["fitness"], model.fitness_head(cells.change).squeeze(-1))


def test_the_pooled_perturbation_is_the_mean_of_the_deleted_genes(tiny_cell: CellGraph) -> None:
    readouts = make(tiny_cell).readouts(BATCH)
    for row, present in enumerate(BATCH.present):
        expected = readouts.cells.deleted[row, present].mean(0)
        torch.testing.assert_close(readouts.interaction.embedding[row], expected)


def test_options_of_the_predictor_change_scores_of_interactions(tiny_cell: CellGraph) -> None:
    quiet = {"encoder.dropout": 0.0, "fitness_head.dropout": 0.0, "interaction_predictor.dropout": 0.0}
    model = make(tiny_cell, quiet)
    evaluated = model(BATCH).score
    assert torch.equal(model.train()(BATCH).score, evaluated)
    dropped = make(tiny_cell, {**quiet, "interaction_predictor.dropout": 0.5})
    assert torch.equal(dropped(BATCH).score, evaluated)
    assert not torch.allclose(dropped.train()(BATCH).score, evaluated)
    heads = make(tiny_cell, {**quiet, "interaction_predictor.num_heads": 2})
    heads.load_state_dict(model.state_dict())
    assert not torch.equal(heads(BATCH).score, evaluated)


def test_data_without_metabolism_is_an_error(tiny_cell: CellGraph) -> None:
    with pytest.raises(DataError, match="the data has no metabolism"):
        build(HeteroCellBipartiteConfig, {}).check(
            dataclasses.replace(tiny_cell, metabolism=None), INTERACTION
        )


@pytest.mark.parametrize("key", ["encoder", "interaction_predictor"])
def test_heads_must_divide_the_width(key: str) -> None:
    changes = {"hidden_dim": 18, "encoder.num_heads": 3, "interaction_predictor.num_heads": 3}
    with pytest.raises(ConfigError, match=rf"{key}\.num_heads: 4 heads do not divide hidden_dim 18"):
        build(HeteroCellBipartiteConfig, assign({}, {**changes, f"{key}.num_heads": 4}), "model")
