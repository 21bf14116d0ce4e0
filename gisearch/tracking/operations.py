"""Writes to MLflow as small records, so that they can be queued, repeated, kept in a file and replayed."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gisearch.tracking.records import Scalar
from gisearch.tracking.redact import redact_text, redact_value
from gisearch.tracking.store import PARENT_TAG, STATUS_TAG, TRIAL_TAG, Store

_BATCH = 100  # MLflow's limit for parameters and tags; metrics may be ten times as many
_VALUE_LIMIT = 5000
_NAME = re.compile(r"[^\w.\-/ :]")
_FAILURE_TAG = "gisearch.failure"


class MissingRunError(Exception):
    """A write for a trial whose run could not be created."""


@dataclass
class Operation:
    """One write.

    Attributes:
        kind: ``start``, ``metrics``, ``tags``, ``text``, ``file`` or ``end``.
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
    """

    def __init__(self, store: Store, runs: Runs, directory: Path) -> None:
        self.store = store
        self.runs = runs
        self._directory = directory
        # Per trial and metric the last step written: a trial that goes on from a checkpoint reports
        # some epochs again, and they belong in its curve once.
        self._last_step: dict[int | None, dict[str, int]] = {}

    def apply(self, operation: Operation, *, again: bool = False) -> None:
        """Write one operation.

        Args:
            operation: what to write.
            again: it may have been written before, wholly or in part.

        Raises:
            MissingRunError: the trial's run was never created.
            Exception: whatever MLflow raises.
        """
        if operation.kind == "start":
            self._start(operation, again)
            return
        run_id = self.runs.get(operation.number)
        if run_id is None:
            raise MissingRunError(f"trial {operation.number} has no run")
        payload = operation.payload
        if operation.kind == "metrics":
            self._log_metrics(run_id, operation)
        elif operation.kind == "tags":
            self._set_tags(run_id, payload)
        elif operation.kind == "text":
            self._log_text(run_id, payload["path"], payload["text"])
        elif operation.kind == "file":
            folder = str(Path(payload["path"]).parent)
            self._log_file(run_id, self._directory / payload["local"], Path(payload["path"]).name, folder)
        elif operation.kind == "end":
            self._set_tags(run_id, payload["tags"])
            self._log_summary(run_id, operation)
            self.store.client.set_terminated(run_id, payload["status"], operation.time)
            self._last_step.pop(operation.number, None)

    def _start(self, operation: Operation, again: bool) -> None:
        number, payload, client = operation.number, operation.payload, self.store.client
        assert number is not None
        run_id = self.runs.get(number)
        if run_id is None and again:
            # The answer to an earlier attempt may have been lost after the run was created.
            found = self.store.children(self.runs.parent).get(number)
            run_id = None if found is None else found.info.run_id
        known: Mapping[str, str] = {}
        if run_id is None:
            tags = {
                PARENT_TAG: self.runs.parent,
                TRIAL_TAG: str(number),
                STATUS_TAG: "running",
                **payload["tags"],
            }
            run_id = client.create_run(
                self.store.experiment_id, operation.time, tags, payload["name"]
            ).info.run_id
            self._last_step[number] = {}
        else:
            run = client.get_run(run_id)
            known = run.data.params
            client.update_run(run_id, status="RUNNING", name=payload["name"])
            self._set_tags(run_id, {STATUS_TAG: "running", **payload["tags"]})
            if _FAILURE_TAG in run.data.tags:
                client.delete_tag(run_id, _FAILURE_TAG)
            self._load_steps(number, run_id, run.data.metrics)
        self.runs.add(number, run_id)
        from mlflow.entities import Param

        # MLflow's parameters are write-once.
        new = [Param(k, v) for k, v in payload["params"].items() if k not in known]
        for first in range(0, len(new), _BATCH):
            client.log_batch(run_id, params=new[first : first + _BATCH])

    def _load_steps(self, number: int | None, run_id: str, metrics: Iterable[str]) -> None:
        steps = self._last_step.setdefault(number, {})
        for key in metrics:
            history = self.store.client.get_metric_history(run_id, key)
            steps[key] = max((metric.step for metric in history), default=-1)

    def _log_metrics(self, run_id: str, operation: Operation) -> None:
        from mlflow.entities import Metric

        if operation.number not in self._last_step:
            self._load_steps(operation.number, run_id, self.store.client.get_run(run_id).data.metrics)
        last = self._last_step[operation.number]
        new = [
            Metric(metric_name(key), float(value), moment, step)
            for key, value, step, moment in operation.payload["values"]
            if step > last.get(metric_name(key), -1)
        ]
        for first in range(0, len(new), 10 * _BATCH):
            self.store.client.log_batch(run_id, metrics=new[first : first + 10 * _BATCH])
        for metric in new:
            last[metric.key] = max(metric.step, last.get(metric.key, -1))

    def _log_summary(self, run_id: str, operation: Operation) -> None:
        from mlflow.entities import Metric

        values = {metric_name(key): float(value) for key, value in operation.payload["summary"].items()}
        if not values:
            return
        if operation.number not in self._last_step:
            self._load_steps(operation.number, run_id, self.store.client.get_run(run_id).data.metrics)
        last = self._last_step[operation.number]
        # MLflow's tables show the newest value at the highest step, so a summary goes to a curve's end.
        rows = [Metric(key, value, operation.time, last.get(key, 0)) for key, value in values.items()]
        self.store.client.log_batch(run_id, metrics=rows)

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        rows = [RunTag(key, value) for key, value in tags.items()]
        for first in range(0, len(rows), _BATCH):
            self.store.client.log_batch(run_id, tags=rows[first : first + _BATCH])

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
