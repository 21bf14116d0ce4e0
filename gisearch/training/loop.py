"""The training loop: one for every model, in one process or several; what it needs are plain objects."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError, ConfigError, DataError, NonFiniteError
from gisearch.models.base import FittedModel, Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.targets import Targets
from gisearch.models.whole_batch import WholeBatch
from gisearch.seeding import child_seed
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import OptimizerConfig, TrainerConfig
from gisearch.training.cross_fitting import Batch, CrossFit, StepModels
from gisearch.training.metrics import calibration, is_measurable, load_metrics, score
from gisearch.training.objective import Objective
from gisearch.training.recording import RecordedStep
from gisearch.training.target import TargetScale, training_targets
from gisearch.training.workers import SharedBatch, WorkerGroup


@plain_dataclass(frozen=True)
class EpochReport:
    """What the loop tells after every epoch.

    Attributes:
        epoch: counted from 1.
        metrics: ``train/loss``, ``val/<metric>``, ``lr``, ``epoch_seconds``.
        best_value: the objective's best value so far.
        best_epoch: the epoch that reached it.
        finished: whether this was the last epoch.
        seconds: training time so far, over all attempts.
        peak_memory_mb: peak memory of the (first) training process in MB, or of its GPU where it uses one.
    """

    epoch: int
    metrics: Mapping[str, float]
    best_value: float
    best_epoch: int
    finished: bool
    seconds: float
    peak_memory_mb: float


@plain_dataclass
class Progress:
    """Where a run stands; everything but tensors that a continued run needs."""

    epoch: int = 0
    step: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    # What was best before the history begins, where another run's state was taken over.
    inherited: tuple[float, int] | None = None


class Trainer:
    """Trains one model on one dataset."""

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        *,
        trainer: TrainerConfig,
        optimizer: OptimizerConfig,
        objective: Objective,
        seed: int,
        store: CheckpointStore | None = None,
        identity: Mapping[str, Any] | None = None,
        group: WorkerGroup | None = None,
        model_of: Callable[[Mapping[str, Any]], Model] | None = None,
        cross_fit: CrossFit | None = None,
    ) -> None:
        """Prepare; nothing is trained yet.

        Args:
            model: a model on the dataset's cell graph.
            dataset: what to learn from.
            trainer: the loop's configuration.
            optimizer: the optimiser's configuration.
            objective: decides which epoch is best.
            seed: orders the batches and drives dropout.
            store: where checkpoints go; None keeps the best model in memory only.
            identity: plain values stored in every checkpoint (configuration, data hash).
            group: the processes that train this model; None is this one alone.
            model_of: builds the model of a checkpoint, for a best one that another configuration reached;
                None takes ``model``.
            cross_fit: what each fold of the training genotypes trains on; None trains on what the model has.

        Raises:
            ConfigError: there is no such device.
            DataError: the objective cannot be measured on the validation part.
        """
        self.config, self.objective, self.seed = trainer, objective, seed
        self.store, self.identity = store, dict(identity or {})
        self.group = group or WorkerGroup()
        self.device = resolve_device(trainer.device)
        self.model = model.to(self.device)
        self._model_of = model_of or (lambda _: self.model)
        self.scale = TargetScale.fit(dataset)
        self.clip_norm = optimizer.clip_norm
        self.data = {
            part: (
                GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.part(part))).to(
                    self.device
                ),
                torch.tensor(dataset.values(part), device=self.device),
            )
            for part in ("train", "val")
        }
        self.targets = training_targets(dataset).to(self.device)
        measured = self.data["val"][1]
        if objective.metric != "val/loss" and not is_measurable(measured):
            raise DataError(
                f"objective.metric: {objective.metric!r} needs two different values of "
                f"{dataset.target.name!r} in the validation part, which has {len(measured)} genotypes of "
                f"value {measured[0].item():g}."
            )
        self._models = StepModels(self.model, self.device, cross_fit)
        steps = self._models.steps_per_epoch(len(self.data["train"][0]), trainer.batch_size)
        self.optimizer, self.schedule = optimizer.build(model, steps * trainer.max_epochs)
        self._loss = self.group.parallel(self._models)
        self.progress = Progress()
        self._recorded: dict[tuple[int, int], RecordedStep] = {}
        self._best_weights: dict[str, Tensor] | None = None
        self._improved = False
        self._last_saved = time.monotonic()

    def fit(
        self,
        report: Callable[[EpochReport], None] = lambda _: None,
        recall: Callable[[list[EpochReport]], None] = lambda _: None,
    ) -> Progress:
        """Train to the end, continuing from the store's last checkpoint where there is one.

        Leaves the best epoch's weights in the model.

        Args:
            report: called after every epoch, in the first process; may raise StopTraining.
            recall: called once, in the first process, with the epochs of earlier attempts where the run is
                continued: the last of them may have been trained and kept, and never reported.

        Raises:
            NonFiniteError: a stage produced NaN or infinite values; names the stage and the epoch.
            CheckpointError: the store's checkpoint belongs to another run, or none can be written.
            StopTraining: the report asked for it.
        """
        # The first process draws what it would draw alone; masks of the others must differ from its own.
        others = (self.group.rank,) if self.group.rank else ()
        torch.manual_seed(child_seed(self.seed, "dropout", *others))
        self._restore()
        if self.progress.history:
            self.group.on_first(lambda: recall(self._past()))
        load_metrics(self.scale.kind)
        while not self._finished():
            started = time.perf_counter()
            epoch = self.progress.epoch + 1
            try:
                metrics = {"train/loss": self._train_epoch(epoch), **self.evaluate("val")}
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {epoch}: {error}") from None
            elapsed = time.perf_counter() - started
            metrics |= {"lr": self.optimizer.param_groups[0]["lr"], "epoch_seconds": elapsed}
            # Different processors may round differently: all must decide by the same numbers.
            self._advance(self.group.exchange(metrics)[0])
            self._end_epoch(report)
        self._load_best()
        return self.progress

    def predict(self, batch: GenotypeBatch) -> tuple[Tensor, Tensor | None]:
        """Return predictions in label units on the CPU, [n], and their standard deviations if any."""
        shared = len(batch) >= self.group.size
        own = batch[self.group.share(torch.arange(len(batch), device=self.device))] if shared else batch
        size = self.config.eval_batch_size
        scores, std = _predict_unchecked(self.model, self.scale, own, size, self.device)
        self.group.check(self.model.monitor)
        if shared and self.group.size > 1:
            scores = self.group.gather(scores.to(self.device)).cpu()
            std = None if std is None else self.group.gather(std.to(self.device)).cpu()
        return scores, std

    def evaluate(self, part: str) -> dict[str, float]:
        """Return loss and metrics of one part of the split as ``<part>/<metric>``."""
        batch, measured = self.data[part]
        predicted, std = self.predict(batch)
        labels = measured.cpu()
        metrics = score(self.scale.kind, predicted, labels)
        if std is not None:
            metrics |= calibration(predicted, std, labels)
        metrics["loss"] = self._loss_of(predicted, labels)
        return {f"{part}/{name}": value for name, value in metrics.items()}

    @property
    def _best_value(self) -> float:
        value = self.progress.best_value
        assert value is not None, "no epoch has been evaluated"
        return value

    def _loss_of(self, predicted: Tensor, labels: Tensor) -> float:
        if self.scale.kind == "binary":
            return float(nn.functional.binary_cross_entropy(predicted, labels))
        return float(nn.functional.mse_loss(self.scale.to_model(predicted), self.scale.to_model(labels)))

    def _train_epoch(self, epoch: int) -> float:
        self._models.start_epoch(epoch)
        batch, targets = self.data["train"][0], self.targets
        if isinstance(self.model, FittedModel):
            return self.model.fit_epoch(batch, targets)
        total = torch.zeros((), device=self.device)
        for step in self._models.batches(self.seed, epoch, len(batch), self.config.batch_size):
            for part, weight in self._parts(step.rows.to(self.device)):
                loss = self._backward(batch[part], targets[part], weight, step)
                total += loss * weight * (len(step.rows) / self.group.size)
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.schedule.step()
            self.progress.step += 1
        self.model.monitor.watch("loss", total)
        self.group.check(self.model.monitor)
        return self.group.total(total).item() / len(batch)

    def _backward(self, batch: GenotypeBatch, targets: Targets, weight: float, step: Batch) -> Tensor:
        """Add the gradients of the weighted loss to the parameters'; return the loss without the weight."""
        loss_of = partial(self._loss_at_precision, fold=step.fold)
        if self._is_recorded and step.is_whole:
            key = step.fold, len(batch)
            if key not in self._recorded:
                model = self._models.models[step.fold]
                self._recorded[key] = RecordedStep(model, loss_of, batch, targets)
            return self._recorded[key](batch, targets)
        loss = loss_of(batch, targets)
        (loss * weight).backward()
        return loss.detach()

    def _loss_at_precision(self, batch: GenotypeBatch, targets: Targets, *, fold: int) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss: Tensor = self._loss(batch, targets, fold)
        return loss

    @property
    def _is_recorded(self) -> bool:
        """Whether whole batches are replayed: they are one part each, of weight one."""
        return (
            self.config.record_steps
            and self.device.type == "cuda"
            and self.config.accumulate == self.group.size == 1
            and self.model.is_recordable
        )

    def _parts(self, rows: Tensor) -> Iterator[tuple[Tensor, float]]:
        """Yield the parts of a batch that this process computes, and the weights of their losses.

        The processes' gradients are averaged, and every process has as many parts, so that they can ask
        each other for rows in the middle of a part.
        """
        group = self.group
        shares = rows.tensor_split(group.size) if len(rows) >= group.size else (rows,) * group.size
        count = min(self.config.accumulate, min(map(len, shares)))
        parts = [share.tensor_split(count) for share in shares]
        whole = sum(map(len, shares))
        for i, part in enumerate(parts[group.rank]):
            if group.size > 1:
                sizes = [len(p[i]) for p in parts]
                alone = shares[0] is rows
                self._models.share_batch(WholeBatch() if alone else SharedBatch(group, sizes))
            yield part, len(part) / whole * group.size

    def _advance(self, metrics: Mapping[str, float]) -> None:
        progress = self.progress
        progress.epoch += 1
        progress.seconds += metrics["epoch_seconds"]
        progress.history.append({"epoch": progress.epoch, **metrics})
        value = metrics[self.objective.metric]
        self._improved = self.objective.better(value, progress.best_value)
        if self._improved:
            progress.best_value, progress.best_epoch = value, progress.epoch
            self._best_weights = {name: w.clone() for name, w in self.model.state_dict().items()}

    def _finished(self) -> bool:
        progress, patience = self.progress, self.config.patience
        exhausted = progress.epoch >= self.config.max_epochs
        return exhausted or (patience is not None and progress.epoch - progress.best_epoch >= patience)

    def _snapshot(self) -> dict[str, Any]:
        return {
            **self.identity,
            "model": self.model.state_dict(),
            "scale": {"kind": self.scale.kind, "mean": self.scale.mean, "std": self.scale.std},
            "progress": vars(self.progress).copy(),
        }

    def _end_epoch(self, report: Callable[[EpochReport], None]) -> None:
        """Write the checkpoints that are due and report, in the first process; all hear what came of it."""
        states = self.group.exchange(self._random_state())
        epoch = EpochReport(
            epoch=self.progress.epoch,
            metrics={k: v for k, v in self.progress.history[-1].items() if k != "epoch"},
            best_value=self._best_value,
            best_epoch=self.progress.best_epoch,
            finished=self._finished(),
            seconds=self.progress.seconds,
            peak_memory_mb=peak_memory_mb(),
        )

        def act() -> None:
            if self.store is not None and self._improved:
                self.store.save(BEST, self._snapshot())
            due = time.monotonic() - self._last_saved >= self.config.checkpoint_seconds
            if due or epoch.finished:
                self._save(states)
            try:
                report(epoch)
            except BaseException:
                # Somebody ends the run here, perhaps to continue it later.
                if not (due or epoch.finished):
                    self._save(states)
                raise

        self.group.on_first(act)

    def _save(self, random_states: list[dict[str, Tensor]]) -> None:
        if self.store is None:
            return
        self.store.save(
            LAST,
            {
                **self._snapshot(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": {"last_epoch": self.schedule.last_epoch},
                "rng": random_states,
            },
        )
        self._last_saved = time.monotonic()

    def _random_state(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def _past(self) -> list[EpochReport]:
        """Return the reports of the epochs so far."""
        best, best_epoch = self.progress.inherited or (None, 0)
        past, seconds = list[EpochReport](), 0.0
        for entry in self.progress.history:
            metrics = {name: value for name, value in entry.items() if name != "epoch"}
            epoch, value = int(entry["epoch"]), metrics[self.objective.metric]
            seconds += metrics["epoch_seconds"]
            if self.objective.better(value, best):
                best, best_epoch = value, epoch
            assert best is not None
            past.append(EpochReport(epoch, metrics, best, best_epoch, False, seconds, peak_memory_mb()))
        return past

    def _restore(self) -> None:
        if self.store is None:
            return
        store = self.store
        state = self.group.on_first(store.load_last)
        if state is None:
            return
        for name, value in self.identity.items():
            if not _agrees(state.get(name), value):
                raise CheckpointError(
                    f"{store.folder} holds the checkpoints of a run with another {name}; "
                    "expected the same to continue it, or a folder of its own."
                )
        self.model.load_state_dict(state["model"])
        self._restore_optimizer(state["optimizer"], int(state["schedule"]["last_epoch"]))
        random = state["rng"][self.group.rank]
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and self.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"], self.device)
        self.progress = Progress(**state["progress"])

    def _restore_optimizer(self, state: dict[str, Any], step: int) -> None:
        own = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state)
        self.schedule.last_epoch = step
        # A run that took over another's state (population based training) goes on with its own settings.
        for group, settings, factor in zip(
            self.optimizer.param_groups, own, self.schedule.lr_lambdas, strict=True
        ):
            group.update({**settings, "lr": settings["initial_lr"] * factor(step)})

    def _load_best(self) -> None:
        if self._best_weights is not None and self.progress.history:
            self.model.load_state_dict(self._best_weights)
        elif self.store is not None:
            store = self.store
            state = self.group.on_first(lambda: store.load(BEST))
            self.model = self._model_of(state).to(self.device)
            self.model.load_state_dict(state["model"])


def _agrees(stored: Any, own: Any) -> bool:
    """Whether a checkpoint's identity is this run's; of keys that are newer than it nothing can be said."""
    if isinstance(stored, Mapping) and isinstance(own, Mapping):
        return all(key in own and _agrees(value, own[key]) for key, value in stored.items())
    return bool(stored == own)


def predict(
    model: Model, scale: TargetScale, batch: GenotypeBatch, batch_size: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Return predictions in label units on the CPU, [n], and their standard deviations if any.

    Raises:
        NonFiniteError: a stage produced NaN or infinite values.
    """
    scores, std = _predict_unchecked(model, scale, batch, batch_size, device)
    model.monitor.check()
    return scores, std


def _predict_unchecked(
    model: Model, scale: TargetScale, batch: GenotypeBatch, batch_size: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    model.eval()
    scores, stds = [], []
    with torch.inference_mode():
        for start in range(0, len(batch), batch_size):
            prediction = model(batch[slice(start, start + batch_size)].to(device))
            scores.append(scale.from_model(prediction.score.float()).cpu())
            if prediction.std is not None:
                stds.append((prediction.std.float() * scale.std).cpu())
    return torch.cat(scores), torch.cat(stds) if stds else None


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: a GPU is asked for by name and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "trainer.device: 'cuda' needs a GPU that PyTorch can use; expected 'cpu' or 'auto'."
        )
    return torch.device(name)


def peak_memory_mb() -> float:
    """Return the process's peak memory in MB, or the GPU's where one was used."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
