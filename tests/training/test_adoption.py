"""A run that takes over another's state goes on exactly where the other stood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gisearch.config import to_plain
from gisearch.data.dataset import Dataset
from gisearch.training.adoption import ADOPTED_FILE, Adoption
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig, load_config
from gisearch.training.experiment import ExperimentResult, build_model, load_trained, run_experiment
from gisearch.training.loop import EpochReport, Trainer
from gisearch.training.objective import Objective
from gisearch.training.workers import StopTraining

Experiment = Callable[..., ExperimentConfig]
EPOCHS = 8
DONOR: dict[str, Any] = {"trainer.max_epochs": EPOCHS, "optimizer.lr": 0.02}
MEMBER: dict[str, Any] = {"trainer.max_epochs": EPOCHS, "optimizer.lr": 1e-5, "optimizer.weight_decay": 0.01}
EXPLORED: dict[str, Any] = {"trainer.max_epochs": EPOCHS, "optimizer.lr": 0.016}
OBJECTIVE = Objective("val/pearson", "max")


def train(
    config: ExperimentConfig, dataset: Dataset, folder: Path, until: int, adopt: Adoption | None = None
) -> list[EpochReport]:
    """Train to the end of an epoch; return what was reported."""
    reports: list[EpochReport] = []

    def report(epoch: EpochReport) -> None:
        reports.append(epoch)
        if epoch.epoch == until:
            raise StopTraining("enough")

    with pytest.raises(StopTraining):
        run_experiment(config, dataset, folder=folder, report=report, adopt=adopt)
    return reports


def finish(
    config: ExperimentConfig, dataset: Dataset, folder: Path, adopt: Adoption | None = None
) -> tuple[list[EpochReport], ExperimentResult]:
    reports: list[EpochReport] = []
    return reports, run_experiment(config, dataset, folder=folder, report=reports.append, adopt=adopt)


@pytest.fixture
def donor(experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """A run that has trained five epochs."""
    train(experiment(DONOR), tiny_dataset, tmp_path / "donor", 5)
    return tmp_path / "donor"


@pytest.fixture
def member(experiment: Experiment, tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """A run that has trained two epochs at a rate that leads nowhere."""
    train(experiment(MEMBER), tiny_dataset, tmp_path / "member", 2)
    return tmp_path / "member"


def test_without_training_the_scores_are_the_donors(
    experiment: Experiment, tiny_dataset: Dataset, donor: Path, member: Path
) -> None:
    config = experiment(EXPLORED)
    Adoption(donor, 1).carry_out(member, to_plain(config), OBJECTIVE)
    trainer = Trainer(
        build_model(config, tiny_dataset),
        tiny_dataset,
        trainer=config.trainer,
        optimizer=config.optimizer,
        objective=OBJECTIVE,
        seed=config.seed,
        store=CheckpointStore(member),
        identity={"config": to_plain(config), "data": tiny_dataset.digest()},
    )
    trainer._restore()
    before = CheckpointStore(donor).load(LAST)
    last = before["progress"]["history"][-1]
    found = trainer.evaluate("val")
    assert found == {key: pytest.approx(last[key], abs=1e-6) for key in found}
    assert trainer.progress.epoch == 5
    # Moments are the donor's, settings its own.
    steps = [state["step"].item() for state in trainer.optimizer.state.values()]
    assert set(steps) == {float(before["progress"]["step"])}
    assert trainer.optimizer.param_groups[0]["initial_lr"] == 0.016


def test_goes_on_from_the_donors_epoch_with_its_own_values(
    experiment: Experiment, tiny_dataset: Dataset, donor: Path, member: Path
) -> None:
    config = experiment(EXPLORED)
    seconds = CheckpointStore(member).load(LAST)["progress"]["seconds"]
    reached = CheckpointStore(donor).load(BEST)["progress"]["best_value"]
    reports, result = finish(config, tiny_dataset, member, Adoption(donor, 1))
    assert [report.epoch for report in reports] == [6, 7, 8]
    assert reports[0].seconds == pytest.approx(seconds + reports[0].metrics["epoch_seconds"])
    assert reports[0].best_value >= reached
    assert result.value == reports[-1].best_value
    assert load_config(member / "config.yaml") == config
    assert json.loads((member / ADOPTED_FILE).read_text()) == {"leg": 1, "from": "donor"}
    # With the donor's values it would have been the donor's run.
    whole, _ = finish(experiment(DONOR), tiny_dataset, donor)
    same = member.with_name("same")
    train(experiment(MEMBER), tiny_dataset, same, 2)
    # A run of the same batches and dropout: only where its state came from differs.
    train(experiment(DONOR), tiny_dataset, donor.with_name("again"), 5)
    copied, _ = finish(experiment(DONOR), tiny_dataset, same, Adoption(donor.with_name("again"), 1))
    losses = [[report.metrics["train/loss"] for report in run] for run in (whole, copied, reports)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    assert losses[2][-1] != pytest.approx(losses[0][-1], abs=1e-6)


def test_a_run_that_died_afterwards_goes_on_with_its_own_state(
    experiment: Experiment, tiny_dataset: Dataset, donor: Path, member: Path
) -> None:
    config, adopt = experiment(EXPLORED), Adoption(donor, 1)
    train(config, tiny_dataset, member, 6, adopt)
    finish(experiment(DONOR), tiny_dataset, donor)
    past: list[EpochReport] = []
    reports: list[EpochReport] = []
    run_experiment(
        config, tiny_dataset, folder=member, report=reports.append, recall=past.extend, adopt=adopt
    )
    assert [report.epoch for report in reports] == [7, 8]
    # Its own epochs alone are told again, with the best value that it inherited.
    assert [report.epoch for report in past] == [6]
    inherited, _ = CheckpointStore(member).load(LAST)["progress"]["inherited"]
    assert past[0].best_value == max(inherited, past[0].metrics["val/pearson"])
    # The next time that it takes over a state, it does.
    assert Adoption(donor, 2).is_due(member)
    assert not adopt.is_due(member)


def test_a_process_that_dies_while_it_takes_over_does_it_again(
    experiment: Experiment,
    tiny_dataset: Dataset,
    donor: Path,
    member: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, adopt = experiment(EXPLORED), Adoption(donor, 1)
    with monkeypatch.context() as patch:
        patch.setattr("gisearch.training.experiment.save_config", _die)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, tiny_dataset, folder=member, adopt=adopt)
    reports, _ = finish(config, tiny_dataset, member, adopt)
    assert [report.epoch for report in reports] == [6, 7, 8]


def _die(*_: Any) -> None:
    raise KeyboardInterrupt


def test_the_better_of_both_best_models_stays_with_its_configuration(
    experiment: Experiment, tiny_dataset: Dataset, donor: Path, member: Path
) -> None:
    """The better one is the run's own, of another architecture, and nothing after it is as good."""
    bad = experiment({**MEMBER, "optimizer.lr": 1e-5})
    good = {**DONOR, "model.hidden_dim": 16, "model.encoder.num_layers": 2}
    own = member.with_name("own")
    train(experiment(good), tiny_dataset, own, 7)
    reached = CheckpointStore(own).load(BEST)
    assert reached["progress"]["best_value"] > CheckpointStore(member).load(BEST)["progress"]["best_value"]
    reports, result = finish(bad, tiny_dataset, own, Adoption(member, 1))
    assert [report.epoch for report in reports] == [3, 4, 5, 6, 7, 8]
    assert {report.best_value for report in reports} == {result.value} == {reached["progress"]["best_value"]}
    assert result.num_parameters == build_model(experiment(good), tiny_dataset).num_parameters()
    assert load_config(own / "config.yaml") == bad
    best = CheckpointStore(own).load(BEST)
    assert best["config"] == to_plain(experiment(good))
    assert all(torch.equal(best["model"][name], weight) for name, weight in reached["model"].items())
    assert load_trained(own, tiny_dataset).config == experiment(good)


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_goes_on_with_its_own_where_the_donors_state_cannot_be_read(
    damage: str, experiment: Experiment, tiny_dataset: Dataset, donor: Path, member: Path
) -> None:
    for path in donor.glob("*.pt*"):
        path.unlink() if damage == "missing" else path.write_bytes(b"half a checkpoint")
    reports, _ = finish(experiment(EXPLORED), tiny_dataset, member, Adoption(donor, 1))
    assert [report.epoch for report in reports] == [3, 4, 5, 6, 7, 8]


def test_begins_again_where_its_own_state_does_not_fit_either(
    experiment: Experiment, tiny_dataset: Dataset, member: Path
) -> None:
    config = experiment({**EXPLORED, "model.hidden_dim": 16})
    reports, result = finish(config, tiny_dataset, member, Adoption(member.with_name("nowhere"), 1))
    assert [report.epoch for report in reports] == list(range(1, EPOCHS + 1))
    assert load_trained(member, tiny_dataset).config == config
    assert result.epochs == EPOCHS


def test_the_state_before_the_newest_is_taken_where_that_cannot_be_read(
    experiment: Experiment, tiny_dataset: Dataset, donor: Path, member: Path
) -> None:
    (donor / LAST).unlink()
    reports, _ = finish(experiment(EXPLORED), tiny_dataset, member, Adoption(donor, 1))
    assert [report.epoch for report in reports] == [5, 6, 7, 8]
