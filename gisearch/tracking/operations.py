"""Writes to MLflow as small records, so that they can be queued, repeated, kept in a file and replayed."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gisearch.tracking.dataset_inputs import dataset_inputs
from gisearch.tracking.records import Scalar
from gisearch.tracking.redact import redact_text, redact_value, redact_yaml
from gisearch.tracking.registration import Winner, register
from gisearch.tracking.store import PARENT_TAG, STATUS_TAG, TRIAL_TAG, Store

_BATCH = 100  # MLflow's limit for parameters and for tags; with metrics, ten times as many in all
_VALUE_LIMIT = 5000
_NAME = re.compile(r"[^\w.\-/ :]")
_FAILURE_TAG = "gisearch.failure"


class MissingRunError(Exception):
    """A write for a trial whose run could not be created."""


@dataclass
class Operation:
    """One write.

    Attributes:
        kind: ``start``, ``metrics``, ``tags``, ``text``, ``file``, ``model`` or ``end``.
        number: the trial's number; None for the parent run.
        payload: what to write, JSON values only.
        time: when it happened, milliseconds since 1970.
        id: unique, so that a replay knows what was delivered.
    """

    kind: str
    number: int | None
    payload: dict[str, Any]
    time: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class _Batch:
    """What one request can carry.

    Attributes:
        params: name to value.
        metrics: name, value, milliseconds since 1970, step.
        tags: name to value.
    """

    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def add_points(self, values: Iterable[tuple[str, float | str, int, int]], steps: dict[str, int]) -> None:
        """Add the points of curves that lie beyond the last ``steps``, which move on."""
        known = dict(steps)
        for key, value, step, moment in values:
            name = metric_name(key)
            if step > known.get(name, -1):
                self.metrics.append((name, float(value), moment, step))
                steps[name] = max(step, steps.get(name, -1))

    def add_summary(self, operation: Operation, steps: Mapping[str, int]) -> None:
        """Add single numbers at a curve's end: MLflow's tables show the newest value at the highest step."""
        for key, value in operation.payload["summary"].items():
            name = metric_name(key)
            self.metrics.append((name, float(value), operation.time, steps.get(name, 0)))


class Runs:
    """The runs of one sweep, shared by the tracker and its writer.

    Attributes:
        parent: the parent run's id.
    """

    def __init__(self, parent: str, children: Mapping[int, str]) -> None:
        self.parent = parent
        self._children = dict(children)
        self._lock = threading.Lock()

    def get(self, number: int | None) -> str | None:
        """Return the run of a trial (of the sweep for None), or None where it is not created yet."""
        if number is None:
            return self.parent
        with self._lock:
            return self._children.get(number)

    def add(self, number: int, run_id: str) -> None:
        """Remember a trial's run."""
        with self._lock:
            self._children[number] = run_id

    def children(self) -> dict[int, str]:
        """Return a copy of the trials' runs."""
        with self._lock:
            return dict(self._children)


class RunWriter:
    """Applies operations to the runs of one sweep. Each may be applied again without harm.

    Args:
        store: the open store.
        runs: the sweep's runs; trials created here are added.
        directory: what the relative paths of files refer to.

    Attributes:
        model: the address of the model that was registered last; None where none was.
    """

    def __init__(self, store: Store, runs: Runs, directory: Path) -> None:
        self.store = store
        self.runs = runs
        self.model: str | None = None
        self._directory = directory
        # Per trial and metric the last step written: a trial that goes on from a checkpoint reports
        # some epochs again, and they belong in its curve once.
        self._last_step: dict[int | None, dict[str, int]] = {}

    def apply(self, operations: Sequence[Operation], *, again: bool = False) -> None:
        """Write operations of one trial, or of the sweep, in their order.

        Parameters, metrics and tags of all of them travel in one request: to MLflow a request costs more
        than what is in it.

        Args:
            operations: what to write, all of one run; a ``start`` only as the first.
            again: they may have been written before, wholly or in part.

        Raises:
            MissingRunError: the trial's run was never created.
            Exception: whatever MLflow raises.
        """
        number, batch = operations[0].number, _Batch()
        if operations[0].kind == "start":
            self._start(operations[0], again, batch)
        run_id = self.runs.get(number)
        if run_id is None:
            raise MissingRunError(f"trial {number} has no run")
        steps: dict[str, int] = {}
        if any(operation.kind in ("metrics", "end") for operation in operations):
            steps = dict(self._steps(number, run_id))
        for operation in operations:
            if operation.kind == "metrics":
                batch.add_points(operation.payload["values"], steps)
            elif operation.kind in ("tags", "end"):
                batch.tags |= operation.payload["tags"] if operation.kind == "end" else operation.payload
            if operation.kind == "end":
                batch.add_summary(operation, steps)
        self._log(run_id, batch)
        if steps:
            self._last_step[number] = steps
        for operation in operations:
            payload = operation.payload
            if operation.kind == "text":
                self._log_text(run_id, payload["path"], payload["text"])
            elif operation.kind == "file":
                folder = str(Path(payload["path"]).parent)
                self._log_file(run_id, self._directory / payload["local"], Path(payload["path"]).name, folder)
            elif operation.kind == "model":
                package = self._directory / payload["local"]
                winner = Winner(**payload["winner"])
                self.model = register(self.store, self.runs.parent, run_id, package, winner)
            elif operation.kind == "end":
                self.store.client.set_terminated(run_id, payload["status"], operation.time)
                self._last_step.pop(number, None)

    def _start(self, operation: Operation, again: bool, batch: _Batch) -> None:
        number, payload, client = operation.number, operation.payload, self.store.client
        assert number is not None
        run_id = self.runs.get(number)
        if run_id is None and again:
            # The answer to an earlier attempt may have been lost after the run was created.
            run_id = self._find(number)
        known: Mapping[str, str] = {}
        tags = {STATUS_TAG: "running", **payload["tags"]}
        if run_id is None:
            own = {PARENT_TAG: self.runs.parent, TRIAL_TAG: str(number), **tags}
            run_id = client.create_run(
                self.store.experiment_id, operation.time, own, payload["name"]
            ).info.run_id
            self._last_step[number] = {}
        else:
            run = client.get_run(run_id)
            known = run.data.params
            client.update_run(run_id, status="RUNNING", name=payload["name"])
            batch.tags |= tags
            if _FAILURE_TAG in run.data.tags:
                client.delete_tag(run_id, _FAILURE_TAG)
            self._load_steps(number, run_id, run.data.metrics)
        self.runs.add(number, run_id)
        if payload.get("datasets"):
            client.log_inputs(run_id, dataset_inputs(payload["datasets"]))
        # MLflow's parameters are write-once.
        batch.params |= {key: value for key, value in payload["params"].items() if key not in known}

    def _find(self, number: int) -> str | None:
        # Not all children: a sweep may have thousands.
        found = self.store.client.search_runs(
            [self.store.experiment_id],
            f"tags.`{PARENT_TAG}` = '{self.runs.parent}' and tags.`{TRIAL_TAG}` = '{number}'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return found[0].info.run_id if found else None

    def _steps(self, number: int | None, run_id: str) -> dict[str, int]:
        if number not in self._last_step:
            self._load_steps(number, run_id, self.store.client.get_run(run_id).data.metrics)
        return self._last_step[number]

    def _load_steps(self, number: int | None, run_id: str, metrics: Iterable[str]) -> None:
        steps = self._last_step.setdefault(number, {})
        for key in metrics:
            history = self.store.client.get_metric_history(run_id, key)
            steps[key] = max((metric.step for metric in history), default=-1)

    def _log(self, run_id: str, batch: _Batch) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*point) for point in batch.metrics]
        params = [Param(key, value) for key, value in batch.params.items()]
        tags = [RunTag(key, value) for key, value in batch.tags.items()]
        while metrics or params or tags:
            self.store.client.log_batch(run_id, metrics[: 8 * _BATCH], params[:_BATCH], tags[:_BATCH])
            del metrics[: 8 * _BATCH], params[:_BATCH], tags[:_BATCH]

    def _log_text(self, run_id: str, path: str, text: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / Path(path).name
            local.write_text(text, encoding="utf-8")
            self._log_file(run_id, local, local.name, str(Path(path).parent))

    def _log_file(self, run_id: str, local: Path, name: str, folder: str) -> None:
        if local.name != name:
            with tempfile.TemporaryDirectory() as scratch:
                renamed = Path(scratch) / name
                shutil.copyfile(local, renamed)
                self._log_file(run_id, renamed, name, folder)
            return
        self.store.client.log_artifact(run_id, str(local), None if folder == "." else folder)


def metric_name(name: str) -> str:
    """Return ``name`` with what MLflow does not allow in names replaced."""
    return _NAME.sub("_", name)[:250]


def clean_params(params: Mapping[str, Scalar]) -> dict[str, str]:
    """Return parameters as MLflow keeps them: text, six significant digits, secrets masked."""
    return {metric_name(key): _text(redact_value(key, value)) for key, value in params.items()}


def clean_tags(tags: Mapping[str, str | None]) -> dict[str, str]:
    """Return tags with secrets masked, None left out, and their length limited."""
    return {
        key if key.startswith("mlflow.") else metric_name(key): redact_text(str(redact_value(key, value)))[
            :_VALUE_LIMIT
        ]
        for key, value in tags.items()
        if value is not None
    }


def artifact(path: str, local: Path, directory: Path) -> Operation:
    """Return the write of a local file to the parent run; of YAML with its secrets masked.

    Args:
        path: where among the run's artifacts.
        local: the file.
        directory: what the writer's paths are relative to.
    """
    if local.suffix in (".yaml", ".yml") and local.is_file():
        text = redact_yaml(local.read_text(encoding="utf-8"))
        return Operation("text", None, {"path": path, "text": text})
    return Operation("file", None, {"path": path, "local": kept_path(local, directory)})


def kept_path(local: Path, directory: Path) -> str:
    """Return a path relative to the sweep's folder, which may be moved before its spool is uploaded."""
    absolute, root = local.resolve(), directory.resolve()
    return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)


def encode_metrics(metrics: Mapping[str, float]) -> dict[str, float | str]:
    """Return metrics as JSON values: NaN and infinities, which JSON lacks, become ``"nan"``."""
    return {key: float(value) if math.isfinite(value) else "nan" for key, value in metrics.items()}


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format(value, ".6g")
    return str(value)[:_VALUE_LIMIT]
