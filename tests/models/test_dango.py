"""What is particular to Dango: pretraining against its dense form, and what is computed in which epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from gisearch import sweep, train
from gisearch.command_line import run
from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.errors import ConfigError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.dango import DangoConfig, LossScheduleConfig
from gisearch.models.dango import Dango
from gisearch.models.targets import Targets
from gisearch.resources import find_search_space

TARGET = Target("gene_interaction", "regression")
BATCH = GenotypeBatch.from_table(np.array([[3, -1, -1], [3, 8, -1], [3, 8, 21], [0, 5, -1]]))
TARGETS = Targets("gene_interaction", {"gene_interaction": torch.tensor([0.3, -1.0, 0.8, 0.1])})


def make(cell: CellGraph, changes: Mapping[str, Any] | None = None) -> Dango:
    torch.manual_seed(0)
    small = {"hidden_dim": 16, "schedule.name": "linear_until_flipped"}
    config = build(DangoConfig, assign({}, {**small, **(changes or {})}))
    return config.build(cell, TARGET)


def calls_of(module: nn.Module) -> list[nn.Module]:
    """Return a list that grows by one with every call of a module."""
    calls: list[nn.Module] = []
    module.register_forward_hook(lambda called, *_: calls.append(called))
    return calls


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pre_then_post", [0.0, 0.0, 0.0, 1.0, 1.0]),
        ("linear_until_uniform", [0.125, 0.25, 0.375, 0.5, 0.5]),
        ("linear_until_flipped", [0.25, 0.5, 0.75, 1.0, 1.0]),
    ],
)
def test_the_last_weights_hold_after_the_transition(name: str, expected: list[float]) -> None:
    schedule = build(LossScheduleConfig, {"name": name, "transition_epochs": 3})
    assert [schedule.interaction_weight(epoch) for epoch in range(1, 6)] == expected
    at_once = build(LossScheduleConfig, {"name": name, "transition_epochs": 0})
    assert at_once.interaction_weight(1) == expected[-1]


def dense_pretraining(model: Dango, cell: CellGraph) -> tuple[Tensor, Tensor]:
    """Embeddings [G, N, h] and the reconstruction loss, network by network on dense matrices."""
    pretrain, lambdas = model.pretrain, model.pretrain.reconstruction.lambdas
    embeddings, losses = [], []
    for i, network in enumerate(cell.networks.values()):
        source, target = torch.from_numpy(network.edges)
        adjacency = torch.zeros(cell.num_genes, cell.num_genes, dtype=torch.float64)
        adjacency[target, source] = 1.0
        mean = adjacency / adjacency.sum(1, keepdim=True).clamp_min(1)
        x: Tensor = pretrain.embedding
        for layer in pretrain.layers:
            own = x @ layer.own.weight[i] + layer.own.bias[i]
            x = torch.relu(own + mean @ x @ layer.mean.weight[i] + layer.mean.bias[i])
        embeddings.append(x)
        reconstruction = pretrain.reconstruction
        predicted = x @ reconstruction.weight[i].T + reconstruction.bias[i]
        weights = adjacency + lambdas[i] * (1 - adjacency)
        losses.append((weights * (predicted - adjacency) ** 2).mean())
    return torch.stack(embeddings), torch.stack(losses).mean()


def test_pretraining_equals_its_dense_form(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, {"schedule.name": "pre_then_post"}).double()
    embeddings, loss = dense_pretraining(model, tiny_cell)
    torch.testing.assert_close(model.pretrain(model.monitor), embeddings)
    found = model.training_loss(BATCH, TARGETS)
    torch.testing.assert_close(found, loss)
    parameters = list(model.pretrain.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(found, parameters), torch.autograd.grad(loss, parameters), rtol=1e-9, atol=1e-12
    )


def test_the_training_loss_is_the_weighted_sum_of_both(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, {"schedule.transition_epochs": 3})
    reconstruction = model.pretrain.loss(model.pretrain(model.monitor), model.monitor)
    interaction = TARGETS.loss(model(BATCH).score)
    for epoch, weight in enumerate([0.25, 0.5, 0.75, 1.0, 1.0], start=1):
        model.start_epoch(epoch)
        expected = (1 - weight) * reconstruction + weight * interaction
        torch.testing.assert_close(model.training_loss(BATCH, TARGETS), expected)
    # A continued run starts anywhere.
    model.start_epoch(2)
    torch.testing.assert_close(model.training_loss(BATCH, TARGETS), 0.5 * (reconstruction + interaction))


def test_a_loss_without_weight_is_not_computed(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, {"schedule.name": "pre_then_post", "schedule.transition_epochs": 2})
    encodings = calls_of(model.pretrain)
    reconstructions, predictions = calls_of(model.pretrain.reconstruction), calls_of(model.hypersagnn)
    counts = []
    for epoch in (1, 2, 3):
        model.start_epoch(epoch)
        model.zero_grad()
        model.training_loss(BATCH, TARGETS).backward()
        counts.append((len(encodings), len(reconstructions), len(predictions)))
        trained = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
        assert trained == ({"pretrain"} if epoch < 3 else {"pretrain", "meta_embedding", "hypersagnn"})
    assert counts == [(1, 1, 0), (2, 2, 0), (3, 2, 1)]
    assert model.pretrain.reconstruction.weight.grad is None
    assert model.pretrain.embedding.grad is not None


def test_both_losses_share_one_encoding_and_an_evaluation_reconstructs_nothing(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell)
    encodings, reconstructions = calls_of(model.pretrain), calls_of(model.pretrain.reconstruction)
    model.training_loss(BATCH, TARGETS)
    assert (len(encodings), len(reconstructions)) == (1, 1)
    model.eval()(BATCH)
    assert (len(encodings), len(reconstructions)) == (2, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"reconstruction.lambdas": {"physical": 0.3}},
        {"reconstruction.uncertain_lambda": 0.5},
        {"reconstruction.default_lambda": 0.5},
        {"schedule.name": "pre_then_post"},
        {"schedule.name": "linear_until_uniform"},
        {"schedule.transition_epochs": 9},
    ],
    ids=str,
)
def test_options_of_the_loss_change_the_loss_and_no_score(
    changes: dict[str, Any], tiny_cell: CellGraph
) -> None:
    plain, changed = make(tiny_cell).eval(), make(tiny_cell, changes).eval()
    assert torch.equal(plain(BATCH).score, changed(BATCH).score)
    losses = [model.training_loss(BATCH, TARGETS).item() for model in (plain, changed)]
    assert abs(losses[0] - losses[1]) > 1e-3 * losses[0]


def test_scores_are_those_of_the_weighted_embeddings(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell).eval()
    prediction, per_network = model(BATCH), model.pretrain(model.monitor)
    attention = prediction.details["network_attention"]
    assert attention.shape == (tiny_cell.num_genes, 3)
    torch.testing.assert_close(attention.sum(1), torch.ones(tiny_cell.num_genes))
    assert attention.std(0).min() > 1e-4, "every gene has weights of its own"
    genes = torch.einsum("ng,gnh->nh", attention, per_network)
    expected = model.hypersagnn(genes[BATCH.deleted], BATCH.present)
    torch.testing.assert_close(prediction.score, expected)


def test_reconstruction_learns_where_the_edges_are(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, {"schedule.name": "pre_then_post", "reconstruction.default_lambda": 0.3})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        model.training_loss(BATCH, TARGETS).backward()
        optimizer.step()
    layer, per_network = model.pretrain.reconstruction, model.pretrain(model.monitor)
    predicted = (per_network @ layer.weight.mT + layer.bias).detach()
    for i, network in enumerate(tiny_cell.networks.values()):
        source, target = torch.from_numpy(network.edges)
        is_edge = torch.zeros_like(predicted[i], dtype=torch.bool)
        is_edge[target, source] = True
        on, off = predicted[i][is_edge].mean(), predicted[i][~is_edge].mean()
        assert on - off > 0.4, network.name


def test_heads_must_divide_the_width() -> None:
    message = r"hypersagnn\.num_heads: 4 heads do not divide hidden_dim 30; expected one of \[1, 2, 3"
    with pytest.raises(ConfigError, match=message):
        build(DangoConfig, {"hidden_dim": 30}, "model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": ["regulation"]}, r"no network 'regulation'.*Did you mean 'regulatory'\?"),
        (
            {"reconstruction.lambdas": {"coexpresion": 0.2}},
            r"model\.reconstruction\.lambdas: the model has no network 'coexpresion' "
            r"\(it has: physical, regulatory, coexpression\)\. Did you mean 'coexpression'\?",
        ),
        (
            {"networks": ["physical"], "reconstruction.lambdas": {"regulatory": 0.2}},
            r"no network 'regulatory' \(it has: physical\)",
        ),
    ],
)
def test_a_network_that_is_not_there_is_an_error_before_anything_is_built(
    changes: dict[str, Any], message: str, tiny_cell: CellGraph
) -> None:
    config = build(DangoConfig, assign({}, changes))
    for use in (config.check, config.build):
        with pytest.raises(DataError, match=message):
            use(tiny_cell, TARGET)


def test_a_cell_without_networks_is_an_error(tiny_cell: CellGraph) -> None:
    with pytest.raises(DataError, match="no gene network, which this model needs; expected at least one"):
        DangoConfig().check(CellGraph(tiny_cell.names), TARGET)


def test_trains_from_the_command_line_with_a_lambda_of_its_own(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["model=dango", "data=demo_tiny", "model.hidden_dim=8", "trainer.max_epochs=3"]
    arguments: list[str] = [
        *options,
        "model.schedule.transition_epochs=1",
        "+model.reconstruction.lambdas.coexpression=0.4",
    ]
    main: Callable[..., Any] = train.main
    assert run(main, arguments) == 0
    out = capsys.readouterr().out
    assert "dango with " in out
    assert "best val/pearson" in out


def test_the_shipped_space_is_valid_and_stops_no_trial_before_its_switch(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space = yaml.safe_load(find_search_space("dango").read_text())
    monkeypatch.chdir(tmp_path)
    assert run(sweep.main, ["dango", "--dry-run"]) == 0
    assert "model.schedule.transition_epochs" in capsys.readouterr().out
    assert space["baselines"][0]["model.schedule.name"] == "pre_then_post"
    _, latest = space["space"]["model.schedule.transition_epochs"]["int"]
    assert space["search"]["grace_epochs"] > latest
