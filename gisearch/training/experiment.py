"""One experiment: data, model, optimiser and trainer, described by one typed configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Any

import torch

from gisearch.config import build, flatten, to_plain
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset, Target
from gisearch.data.derived.derive import DerivedCells
from gisearch.errors import CheckpointError, DataError
from gisearch.models.base import Model
from gisearch.models.batch import GenotypeBatch
from gisearch.seeding import child_seed
from gisearch.training.adoption import Adoption
from gisearch.training.allocator import freed_memory_kept
from gisearch.training.cells import cell_of, derived_cells, is_derived
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import CONFIG_FILE, ExperimentConfig, load_config, save_config
from gisearch.training.cross_fitting import CrossFit
from gisearch.training.loop import EpochReport, Trainer, peak_memory_mb, predict, resolve_device
from gisearch.training.metrics import score_subgroups
from gisearch.training.objective import Objective
from gisearch.training.target import TargetScale
from gisearch.training.workers import WorkerGroup


@plain_dataclass(frozen=True)
class ExperimentResult:
    """What one finished experiment knows.

    Attributes:
        objective: the metric that decided, and its direction.
        value: the objective at the best epoch.
        best_epoch: that epoch, counted from 1.
        epochs: epochs trained.
        seconds: time spent training and evaluating.
        peak_memory_mb: peak memory of the (first) training process in MB, or of its GPU where it uses one.
        num_parameters: trainable parameters by component, and ``total``.
        subgroups: validation metrics at the best epoch by subgroup, as ``val/<group>/<metric>``.
    """

    objective: Objective
    value: float
    best_epoch: int
    epochs: int
    seconds: float
    peak_memory_mb: float
    num_parameters: Mapping[str, int]
    subgroups: Mapping[str, float]


def build_model(config: ExperimentConfig, dataset: Dataset) -> Model:
    """Build the configured model to evaluate with, its weights drawn from the seed."""
    return _build(config, cell_of(config, dataset), dataset.target)


def _build(config: ExperimentConfig, cell: CellGraph, target: Target) -> Model:
    torch.manual_seed(child_seed(config.seed, "weights"))
    return config.model.build(cell, target)


@freed_memory_kept()
def run_experiment(
    config: ExperimentConfig,
    dataset: Dataset,
    *,
    folder: Path | None = None,
    report: Callable[[EpochReport], None] = lambda _: None,
    recall: Callable[[list[EpochReport]], None] = lambda _: None,
    group: WorkerGroup | None = None,
    adopt: Adoption | None = None,
) -> ExperimentResult:
    """Train one configuration, continuing from ``folder`` where an earlier attempt left a checkpoint.

    Args:
        config: the experiment.
        dataset: the data that ``config.data`` describes, loaded once by the caller.
        folder: where ``config.yaml`` and the checkpoints go; None writes nothing.
        report: called after every epoch; may raise StopTraining.
        recall: called once with the epochs of earlier attempts where a run is continued.
        group: the processes that train together, each of which calls this; None is this one alone.
        adopt: another run whose state is taken over first; the folder may then hold an earlier configuration
            of this one.

    Raises:
        GisearchError: the configuration does not fit the data, a stage became non-finite, or the folder
            cannot be written.
        StopTraining: the report asked for it.
    """
    group = group or WorkerGroup()
    objective = Objective.resolve(config.objective, dataset.target)
    if folder is not None:
        group.on_first(lambda: _claim(folder, config, objective, adopt))
    # Different processors may round differently: all must derive the same.
    cells = group.on_first(lambda: derived_cells(config, dataset)) if is_derived(config) else None
    model = _build(config, dataset.cell if cells is None else cells.whole, dataset.target)
    trainer = Trainer(
        model,
        dataset,
        trainer=config.trainer,
        optimizer=config.optimizer,
        objective=objective,
        seed=config.seed,
        store=None if folder is None else CheckpointStore(folder),
        identity={"config": to_plain(config), "data": dataset.digest()},
        group=group,
        model_of=lambda state: _model_of(state, config, model, dataset),
        cross_fit=None if cells is None else _cross_fit(config, cells, dataset.target),
    )
    progress = trainer.fit(report, recall)
    assert progress.best_value is not None
    return ExperimentResult(
        objective=objective,
        value=progress.best_value,
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        seconds=progress.seconds,
        peak_memory_mb=peak_memory_mb(),
        num_parameters=trainer.model.num_parameters(),
        subgroups=_subgroups(trainer, dataset),
    )


def _cross_fit(config: ExperimentConfig, cells: DerivedCells, target: Target) -> CrossFit:
    return CrossFit(
        torch.from_numpy(cells.fold), lambda fold: _build(config, cells.folds[fold], target), len(cells.folds)
    )


def _model_of(state: Mapping[str, Any], config: ExperimentConfig, model: Model, dataset: Dataset) -> Model:
    """Return the model that a checkpoint's weights fit: this run's, or that of a configuration before."""
    other = build(ExperimentConfig, state["config"])
    same = (other.model, other.derived) == (config.model, config.derived)
    return model if same else build_model(other, dataset)


def _claim(folder: Path, config: ExperimentConfig, objective: Objective, adopt: Adoption | None) -> None:
    """Write the configuration; a folder that holds another run is refused, unless it takes over a state."""
    due = adopt if adopt is not None and adopt.is_due(folder) else None
    if due is not None:
        due.carry_out(folder, to_plain(config), objective)
    elif (folder / LAST).exists() and (folder / CONFIG_FILE).exists():
        earlier, now = flatten(to_plain(load_config(folder / CONFIG_FILE))), flatten(to_plain(config))
        changed = [key for key in {**earlier, **now} if earlier.get(key) != now.get(key)]
        if changed:
            raise CheckpointError(
                f"{folder} holds a run with another configuration (they differ in {', '.join(changed)}); "
                "expected the same to continue it, or a folder of its own."
            )
    save_config(config, folder)
    if due is not None:
        due.note(folder)


def _subgroups(trainer: Trainer, dataset: Dataset) -> dict[str, float]:
    rows = dataset.split.part("val")
    batch, measured = trainer.data["val"]
    predicted, _ = trainer.predict(batch)
    unseen, order = dataset.split.unseen[rows], dataset.genotypes.order[rows]
    groups = {f"val/unseen_{n}": torch.from_numpy(unseen == n) for n in range(4)}
    groups |= {f"val/order_{n}": torch.from_numpy(order == n) for n in range(1, 4)}
    return score_subgroups(trainer.scale.kind, predicted, measured.cpu(), groups)


@plain_dataclass(frozen=True)
class TrainedModel:
    """A trained model with the scale of its predictions."""

    config: ExperimentConfig
    model: Model
    scale: TargetScale

    @freed_memory_kept()
    def predict(self, batch: GenotypeBatch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return predictions in label units (probabilities for a binary target), and their std if any."""
        device = resolve_device(self.config.trainer.device)
        return predict(self.model.to(device), self.scale, batch, self.config.trainer.eval_batch_size, device)


def load_trained(folder: Path, dataset: Dataset) -> TrainedModel:
    """Load the best model of a run.

    Raises:
        CheckpointError: there is none, it cannot be read, or its weights do not fit.
        DataError: the data is not what the model was trained on.
    """
    state = CheckpointStore(folder).load(BEST)
    if state.get("data") != dataset.digest():
        raise DataError(
            f"the data has changed since {folder} was trained: its hash is {dataset.digest()}, "
            f"expected {state.get('data')}."
        )
    cell = cell_of(build(ExperimentConfig, state["config"]), dataset)
    return restore(state, cell, dataset.target, folder)


def restore(state: Mapping[str, Any], cell: CellGraph, target: Target, folder: Path) -> TrainedModel:
    """Return the model of a checkpoint.

    Args:
        state: what the checkpoint holds.
        cell: the cell graph that it was evaluated on, with derived parts.
        target: the label that it was trained on.
        folder: where the checkpoint lies, for messages.

    Raises:
        CheckpointError: its weights do not fit.
    """
    config = build(ExperimentConfig, state["config"])
    model = _build(config, cell, target)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint in {folder} does not fit its configuration: {str(error).splitlines()[0]}."
        ) from None
    return TrainedModel(config, model, TargetScale(**state["scale"]))
