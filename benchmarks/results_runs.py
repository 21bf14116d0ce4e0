"""The trainings behind a table of results: one after another in this process, each kept at once."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.results_peers import PEERS
from benchmarks.results_settings import Contender, Task
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import ConfigError, DataError, GisearchError, disk_full
from gisearch.models.batch import GenotypeBatch
from gisearch.search.composing import compose_experiment
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import load_trained, run_experiment
from gisearch.training.metrics import score


@dataclass(frozen=True)
class Result:
    """One model, trained on one split with one seed and scored once on the test part.

    Attributes:
        task: the name of the data and split.
        name: the model or peer.
        seed: of the split and of everything random in training.
        overrides: the configuration, but for the folder and the seeds.
        kind: ``tuned``, ``preset`` or ``peer``.
        scores: test metrics by name; empty where it failed.
        wall_seconds: building the model and training it, checkpoints and validation included.
        processor_seconds: the same, of all threads.
        parameters: trainable ones (leaves of trees, coefficients of a kernel).
        val: the best validation score; None of a peer, which does not look at it.
        epochs: passes over the training part.
        best_epoch: the one that was scored.
        ceiling: the best test Pearson correlation that any model can reach, where the data knows it.
        reason: why it failed; None where it did not.
    """

    task: str
    name: str
    seed: int
    overrides: tuple[str, ...]
    kind: str
    scores: Mapping[str, float] = field(default_factory=dict)
    wall_seconds: float | None = None
    processor_seconds: float | None = None
    parameters: int | None = None
    val: float | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    ceiling: float | None = None
    reason: str | None = None

    @property
    def settings(self) -> tuple[object, ...]:
        """What tells a result from every other one."""
        return self.task, self.name, self.seed, self.overrides


class ResultFile:
    """Results as lines of JSON, so that an interrupted run goes on where it was."""

    def __init__(self, path: Path | None) -> None:
        """Read what is there.

        Args:
            path: the file; None keeps nothing.

        Raises:
            ConfigError: a line is no result.
        """
        self.path = path
        self.known: dict[tuple[object, ...], Result] = {}
        if path is None or not path.exists():
            return
        lines = path.read_bytes().split(b"\n")
        # What an interruption tore is the end without a line break: it is run again.
        if lines.pop():
            with path.open("r+b") as file:
                file.truncate(sum(len(line) + 1 for line in lines))
        for number, line in enumerate(lines, 1):
            try:
                values = json.loads(line)
                result = Result(**{**values, "overrides": tuple(values["overrides"])})
            except (ValueError, TypeError, KeyError):
                raise ConfigError(
                    f"{path}, line {number}: no result of this command; give another file to --resume."
                ) from None
            self.known[result.settings] = result

    def recall(self, contender: Contender, task: Task, seed: int) -> Result | None:
        """Return the result of an earlier run with this configuration; what failed then is tried again."""
        found = self.known.get((task.name, contender.name, seed, contender.overrides))
        return None if found is None or found.reason else found

    def add(self, result: Result) -> None:
        """Keep a result.

        Raises:
            DiskFullError: there is no space left.
            ConfigError: the file cannot be written.
        """
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(result)) + "\n")
        except OSError as error:
            raise disk_full(self.path, error) or ConfigError(
                f"cannot write {self.path}: {error.strerror}."
            ) from None


class Splits:
    """The data of one task and seed, loaded once for all models that ask for the same."""

    def __init__(self) -> None:
        self._loaded: dict[str, Dataset] = {}
        self._digest: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been loaded."""
        return not self._loaded

    def load(self, config: ExperimentConfig) -> Dataset:
        """Return the data of a configuration.

        Raises:
            DataError: it cannot be read.
            ConfigError: its split is another one than that of the models before.
        """
        key = repr(config.data)
        if key not in self._loaded:
            dataset = load_dataset(config.data)
            digest = dataset.split.digest()
            if digest != (self._digest or digest):
                raise ConfigError("the configuration changes the split, on which all models are compared.")
            self._digest = digest
            self._loaded[key] = dataset
        return self._loaded[key]


def experiment_of(contender: Contender, seed: int, extra: Sequence[str]) -> ExperimentConfig:
    """Return a contender's experiment: the seed draws the split, the weights, the batches and dropout.

    Raises:
        ConfigError: a key is unknown or a value outside its limits.
    """
    seeds = (f"data.seed={seed}", f"seed={seed}")
    try:
        return compose_experiment(["name=results", *contender.overrides, *extra, *seeds])[0]
    except ConfigError as error:
        raise ConfigError(f"best configuration of {contender.name}: {error}") from None


def run_all(
    tasks: Mapping[Task, Sequence[Contender]],
    seeds: int,
    file: ResultFile,
    *,
    extra: Mapping[str, Sequence[str]],
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> list[Result]:
    """Train and score everything that the file does not hold.

    Args:
        tasks: the contenders of every task.
        seeds: how many; they are 0, 1, ...
        file: takes every result as soon as it is there.
        extra: further overrides by the task's name, such as the folder of the tables.
        say: takes a line per result.

    Raises:
        ConfigError: a configuration is wrong; nothing has started.
        DataError: the data cannot be read.
    """
    for task, contenders in tasks.items():
        for contender in contenders:
            experiment_of(contender, 0, extra.get(task.name, ()))
    results = []
    for task, contenders in tasks.items():
        for seed in range(seeds):
            splits = Splits()
            for contender in contenders:
                known = file.recall(contender, task, seed)
                if known is None:
                    known = run_one(contender, task, seed, splits, extra.get(task.name, ()))
                    file.add(known)
                    say(describe(known, task))
                results.append(known)
    return results


def describe(result: Result, task: Task) -> str:
    """Return a result as a line."""
    what = f"{task.name} {result.name} seed {result.seed}"
    if result.reason:
        return f"{what}: failed: {result.reason}"
    scores = ", ".join(f"{name} {result.scores[name]:.4f}" for name in task.metrics)
    return f"{what}: {scores} ({result.wall_seconds:.1f} s, {result.processor_seconds:.1f} processor s)"


def run_one(contender: Contender, task: Task, seed: int, splits: Splits, extra: Sequence[str] = ()) -> Result:
    """Train and score one contender; whatever goes wrong with it is its result.

    Raises:
        DataError: the task's own data cannot be read.
    """
    empty = Result(task.name, contender.name, seed, contender.overrides, contender.kind)
    if splits.is_empty:
        # Data that nobody can read is the user's to repair, before hours have passed.
        splits.load(experiment_of(Contender(contender.name, task.overrides, "peer"), seed, extra))
    try:
        config = experiment_of(contender, seed, extra)
        return _scored(empty, config, splits.load(config))
    except GisearchError as error:
        return dataclasses.replace(empty, reason=str(error))
    except Exception as error:  # one model's mistake must not cost the others their hours
        return dataclasses.replace(empty, reason=f"{type(error).__name__}: {error}")


def _scored(empty: Result, config: ExperimentConfig, dataset: Dataset) -> Result:
    measured = torch.from_numpy(dataset.values("test"))
    wall, processor = time.perf_counter(), time.process_time()
    facts: dict[str, Any] = {}
    if empty.name in PEERS:
        found = PEERS[empty.name](dataset)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        predicted, facts["parameters"] = torch.from_numpy(found.predicted), found.parameters
    else:
        with tempfile.TemporaryDirectory(prefix="gisearch-results-") as folder:
            result = run_experiment(config, dataset, folder=Path(folder))
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.part("test")))
            predicted, _ = load_trained(Path(folder), dataset).predict(batch)
        facts |= {"val": result.value, "epochs": result.epochs, "best_epoch": result.best_epoch}
        facts["parameters"] = result.num_parameters["total"]
    scores = score(dataset.target.kind, predicted, measured)
    if not scores:
        raise DataError(f"the test part has {len(measured)} genotypes of one value, which allow no score.")
    ceiling = dataset.noise_ceiling
    return dataclasses.replace(
        empty,
        scores=scores,
        wall_seconds=round(wall, 3),
        processor_seconds=round(processor, 3),
        ceiling=None if ceiling is None else float(ceiling["test"]),
        **facts,
    )
