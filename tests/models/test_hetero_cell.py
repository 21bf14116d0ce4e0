"""What is particular to HeteroCell: which head scores what, and what each term of its loss does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch import sweep
from gisearch.command_line import run
from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.errors import ConfigError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.hetero_cell import HeteroCellConfig
from gisearch.models.hetero_cell import HeteroCell
from gisearch.models.losses import composite
from gisearch.models.targets import Targets

FITNESS = Target("fitness", "regression")
INTERACTION = Target("gene_interaction", "regression")
BATCH = GenotypeBatch.from_table(np.array([[3, -1, -1], [3, 8, -1], [3, 8, 21], [0, 5, -1], [12, 30, 2]]))
NAN = float("nan")
VALUES = {
    "fitness": torch.tensor([0.1, -0.4, 1.2, NAN, 0.3]),
    "gene_interaction": torch.tensor([NAN, -1.0, 0.5, 0.2, 0.9]),
}
PLAIN = {"losses.distribution": 0.0, "losses.contrast": 0.0, "losses.cell": 0.0}


def make(cell: CellGraph, changes: Mapping[str, Any] | None = None, target: Target = FITNESS) -> HeteroCell:
    torch.manual_seed(0)
    config = build(HeteroCellConfig, assign({"hidden_dim": 16}, changes or {}))
    return config.build(cell, target).eval()


def loss_of(model: HeteroCell, values: Mapping[str, Tensor], name: str) -> Tensor:
    return model.training_loss(BATCH, Targets(name, values))


def moved(model: HeteroCell) -> set[str]:
    """Return the components that have a gradient other than zero."""
    return {
        name.partition(".")[0]
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


def test_the_target_decides_which_head_scores(tiny_cell: CellGraph) -> None:
    for target, head in ((FITNESS, "fitness"), (INTERACTION, "interaction")):
        prediction = make(tiny_cell, target=target)(BATCH)
        assert torch.equal(prediction.score, prediction.details[head])
        assert not torch.equal(prediction.details["fitness"], prediction.details["interaction"])
    binary = make(tiny_cell, target=Target("strong_negative", "binary"))(BATCH)
    assert torch.equal(binary.score, binary.details["interaction"])


def test_the_plain_loss_is_both_errors_over_what_is_measured(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, PLAIN)
    scores = model(BATCH).details
    expected = sum(
        (scores[head][there] - VALUES[label][there]).square().mean()
        for head, label in (("fitness", "fitness"), ("interaction", "gene_interaction"))
        for there in (~VALUES[label].isnan(),)
    )
    torch.testing.assert_close(loss_of(model, VALUES, "fitness"), expected)


@pytest.mark.parametrize(
    ("target", "labels", "trained"),
    [
        ("fitness", ["fitness"], {"encoder", "pooling", "fitness_head"}),
        ("gene_interaction", ["gene_interaction"], {"encoder", "perturbed", "interaction_head"}),
        ("strong_negative", ["strong_negative"], {"encoder", "perturbed", "interaction_head"}),
        (
            "strong_negative",
            ["strong_negative", "fitness"],
            {"encoder", "pooling", "fitness_head", "perturbed", "interaction_head"},
        ),
    ],
)
def test_a_head_is_trained_where_its_label_is_there(
    target: str, labels: list[str], trained: set[str], tiny_cell: CellGraph
) -> None:
    model = make(tiny_cell, PLAIN, Target(target, "regression"))
    values = {"strong_negative": torch.tensor([0.0, 1, 0, 1, 1]), **VALUES}
    loss = model.training_loss(
        BATCH, Targets(target, {name: values[name] for name in labels}, frozenset({"strong_negative"}))
    )
    loss.backward()
    assert moved(model) == trained


@pytest.mark.parametrize("weight", ["losses.distribution", "losses.contrast", "losses.cell"])
def test_each_term_of_the_loss_counts_by_its_weight(weight: str, tiny_cell: CellGraph) -> None:
    plain, once, twice = (
        loss_of(make(tiny_cell, {**PLAIN, weight: value}), VALUES, "fitness") for value in (0.0, 0.5, 1.0)
    )
    assert once > plain
    torch.testing.assert_close(twice - plain, 2 * (once - plain))


def test_the_temperature_changes_the_contrast_only(tiny_cell: CellGraph) -> None:
    with_contrast = {**PLAIN, "losses.contrast": 1.0}
    cold, warm = (
        loss_of(make(tiny_cell, {**with_contrast, "losses.temperature": t}), VALUES, "fitness")
        for t in (0.5, 2.0)
    )
    assert not torch.isclose(cold, warm)
    one, other = (
        loss_of(make(tiny_cell, {**PLAIN, "losses.temperature": t}), VALUES, "fitness") for t in (0.5, 2.0)
    )
    assert torch.equal(one, other)


def test_weights_of_zero_compute_nothing(tiny_cell: CellGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(composite, "supervised_contrastive_regression")
    monkeypatch.delattr(composite, "squared_wasserstein")
    assert torch.isfinite(loss_of(make(tiny_cell, PLAIN), VALUES, "fitness"))
    with pytest.raises(NameError):
        loss_of(make(tiny_cell), VALUES, "fitness")


def test_a_batch_that_does_not_measure_the_other_label_is_finite(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell)
    loss = loss_of(model, {**VALUES, "gene_interaction": torch.full((5,), NAN)}, "fitness")
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    without = loss_of(make(tiny_cell), {"fitness": VALUES["fitness"]}, "fitness")
    torch.testing.assert_close(loss, without)


def test_the_literal_perturbation_tells_no_genotypes_apart(tiny_cell: CellGraph) -> None:
    """The notes pool copies of z_w: the interaction is one number, fitness is as before."""
    literal = make(tiny_cell, {"perturbed": "literal"})(BATCH).details
    assert literal["interaction"].unique().numel() == 1
    assert literal["fitness"].unique().numel() == len(BATCH)
    assert make(tiny_cell)(BATCH).details["interaction"].unique().numel() == len(BATCH)


def test_the_literal_perturbation_trains_with_every_term(tiny_cell: CellGraph) -> None:
    """Equal embeddings have a distance of zero, whose root has no gradient."""
    model = make(tiny_cell, {"perturbed": "literal"}, INTERACTION)
    loss_of(model, VALUES, "gene_interaction").backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_dropout_of_the_interaction_head_acts_in_training_only(tiny_cell: CellGraph) -> None:
    none = {"encoder.dropout": 0.0, "fitness_head.dropout": 0.0}
    for rate, same in ((0.0, True), (0.5, False)):
        model = make(tiny_cell, {**none, "interaction_head.dropout": rate}, INTERACTION)
        evaluated = model(BATCH).score
        assert torch.equal(model.train()(BATCH).score, evaluated) == same


@pytest.mark.parametrize("target", [FITNESS, INTERACTION])
def test_first_scores_are_within_the_spread_of_a_standardised_target(
    target: Target, tiny_cell: CellGraph
) -> None:
    scores = make(tiny_cell, {"hidden_dim": 64}, target)(BATCH).score
    assert scores.abs().max() < 2


def test_scores_of_fitness_see_disabled_reactions(tiny_cell: CellGraph) -> None:
    """Without its rules metabolism loses nothing: the same genes deleted score otherwise."""
    metabolism = tiny_cell.metabolism
    assert metabolism is not None
    gene = next(g for g in range(tiny_cell.num_genes) if len(metabolism.disabled_reactions([g])))
    batch = GenotypeBatch.from_table(np.array([[gene]]))
    model = make(tiny_cell)
    before = model(batch).score
    model.pooling.rules.num_complexes += 1  # a complex that nobody breaks
    assert not torch.allclose(model(batch).score, before)


def test_data_without_metabolism_is_an_error_before_anything_is_built(tiny_cell: CellGraph) -> None:
    cell = dataclasses.replace(tiny_cell, metabolism=None)
    config = build(HeteroCellConfig, {})
    for call in (config.check, config.build):
        with pytest.raises(DataError, match=r"the data has no metabolism.*data\.metabolism=true"):
            call(cell, FITNESS)
    config.check(tiny_cell, FITNESS)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.num_heads: 4 heads do not divide hidden_dim 30"):
        build(HeteroCellConfig, {"hidden_dim": 30}, "model")


def test_the_search_space_offers_both_models_and_every_loss_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(sweep.main, ["hetero_cell", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "name: hetero_cell\n" in shown
    assert "name: hetero_cell_bipartite\n" in shown
    for term in ("distribution", "contrast", "cell"):
        assert f"model.losses.{term}" in shown
