"""A recorded step is the step itself: gradients, loss, and what the monitor is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from gisearch.config import build
from gisearch.data.dataset import Dataset
from gisearch.errors import NonFiniteError
from gisearch.models.base import Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.gene_interaction_dango import GeneInteractionDangoConfig
from gisearch.models.targets import Targets
from gisearch.training.config import ExperimentConfig
from gisearch.training.loop import Trainer
from gisearch.training.recording import Outcome, RecordedStep, Run, cuda_graph
from tests.training.test_loop import largest_difference, make_trainer, weights

Experiment = Callable[..., ExperimentConfig]

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cross_attention": {"encoder": {"graph_aggregation": "cross_attention", "convolution": "sage"}},
    "pairwise": {"encoder": {"graph_aggregation": "pairwise_interaction", "residual": True}},
    "global only": {"local_predictor": {"enabled": False}, "encoder": {"convolution": "lightgcn"}},
    "bilinear": {"local_predictor": {"scorer": "bilinear"}, "combination": "concat"},
}


def again(run: Run) -> Run:
    """Stand in for a GPU's recording: a replay runs the step once more, on what lies in its inputs."""
    run()
    return run


def model_of(dataset: Dataset, values: dict[str, Any]) -> Model:
    torch.manual_seed(0)
    config = build(GeneInteractionDangoConfig, {"hidden_dim": 8, **values})
    return config.build(dataset.cell, dataset.target)


def batches(dataset: Dataset, size: int = 16, count: int = 3) -> Iterator[tuple[GenotypeBatch, Targets]]:
    whole = GenotypeBatch.from_genotypes(dataset.genotypes)
    values = torch.randn(len(whole), generator=torch.Generator().manual_seed(0))
    for i in range(count):
        rows = slice(i * size, (i + 1) * size)
        yield whole[rows], Targets("gene_interaction", {"gene_interaction": values[rows]})


def gradients(model: Model) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_replay_gives_the_gradients_of_its_own_batch(name: str, tiny_dataset: Dataset) -> None:
    model = model_of(tiny_dataset, CONFIGURATIONS[name])
    assert model.is_recordable
    first = next(batches(tiny_dataset))
    recorded = RecordedStep(model, model.training_loss, *first, record=again)
    for number, (batch, targets) in enumerate(batches(tiny_dataset)):
        torch.manual_seed(number)
        loss = recorded(batch, targets)
        found = gradients(model)
        model.zero_grad(set_to_none=True)
        torch.manual_seed(number)
        expected = model.training_loss(batch, targets)
        expected.backward()
        assert not loss.requires_grad
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(found, gradients(model))
        model.zero_grad(set_to_none=True)
    model.monitor.check()


def test_the_monitor_hears_of_replays_and_not_of_the_recording(tiny_dataset: Dataset) -> None:
    model = model_of(tiny_dataset, {"encoder": {"dropout": 0.0}})
    (batch, targets), *_ = batches(tiny_dataset)
    weight = next(model.get_submodule("pooling").parameters())
    sound = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(float("nan"))
    recorded = RecordedStep(model, model.training_loss, batch, targets, record=again)
    with torch.no_grad():
        weight.copy_(sound)
    recorded(batch, targets)
    model.monitor.check()
    with torch.no_grad():
        weight.fill_(float("nan"))
    recorded(batch, targets)
    with pytest.raises(NonFiniteError, match="'pooling'"):
        model.monitor.check()


def test_a_step_that_is_planned_on_the_processor_cannot_be_recorded(tiny_dataset: Dataset) -> None:
    assert not model_of(tiny_dataset, {"perturbation": "exact"}).is_recordable


@pytest.fixture
def recording_trainer(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have a trainer record on the processor; the batch sizes that were recorded."""
    sizes: list[int] = []

    class Counted(RecordedStep):
        def __init__(self, *arguments: Any) -> None:
            sizes.append(len(arguments[2]))
            super().__init__(*arguments, record=lambda run: run)

    monkeypatch.setattr("gisearch.training.loop.RecordedStep", Counted)
    monkeypatch.setattr(
        Trainer, "_is_recorded", property(lambda self: self.config.record_steps and self.model.is_recordable)
    )
    return sizes


def test_training_with_recorded_steps_is_training(
    recording_trainer: list[int], experiment: Experiment, tiny_dataset: Dataset
) -> None:
    """The last batch of an epoch is smaller, and is not replayed."""
    results = []
    for record in (False, True):
        trainer = make_trainer(experiment({"trainer.record_steps": record}), tiny_dataset)
        assert len(trainer.data["train"][0]) % 40, "the last batch is smaller"
        progress = trainer.fit()
        results.append((weights(trainer), [entry["train/loss"] for entry in progress.history]))
    assert recording_trainer == [40], "once, and not per epoch"
    assert largest_difference(results[0][0], results[1][0]) < 1e-6
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-6)


def test_without_a_gpu_nothing_is_recorded(experiment: Experiment, tiny_dataset: Dataset) -> None:
    trainer = make_trainer(experiment({"trainer.record_steps": True, "trainer.max_epochs": 1}), tiny_dataset)
    trainer.fit()
    assert not trainer._recorded


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_gpu_replays_the_step(name: str, tiny_dataset: Dataset) -> None:
    values = {**CONFIGURATIONS[name]}
    model = model_of(tiny_dataset, values).to("cuda").eval()
    first, *_ = batches(tiny_dataset)
    recorded = RecordedStep(model, model.training_loss, first[0].to("cuda"), first[1].to("cuda"))
    for batch, targets in batches(tiny_dataset):
        on_gpu = batch.to("cuda"), targets.to("cuda")
        loss = recorded(*on_gpu).clone()
        found = gradients(model)
        model.zero_grad(set_to_none=True)
        expected = model.training_loss(*on_gpu)
        expected.backward()
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(found, gradients(model))
        model.zero_grad(set_to_none=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recording_leaves_the_random_numbers_alone() -> None:
    torch.cuda.manual_seed(0)
    before = torch.cuda.get_rng_state()

    def run() -> Outcome:
        return Outcome(torch.rand(3, device="cuda").sum(), (), (), torch.zeros(0, device="cuda"))

    replay = cuda_graph(run)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert replay().loss.item() != replay().loss.item()
