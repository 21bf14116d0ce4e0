"""What a sweep found, read from its study: rows, the best trial, its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from optuna.trial import FrozenTrial, TrialState

from gisearch.config import build
from gisearch.errors import ConfigError
from gisearch.search.config import ResultsConfig
from gisearch.search.folders import read_facts, read_runs, trial_folder
from gisearch.search.lineage import LINEAGE
from gisearch.search.pareto import cost_of, mode_of, pareto_front
from gisearch.search.study import load_study
from gisearch.search.trial import trial_name
from gisearch.tracking.config import TrackingConfig, started_in
from gisearch.training.checkpoint import BEST, CheckpointStore
from gisearch.training.config import CONFIG_FILE
from gisearch.training.objective import Cost


@dataclass(frozen=True)
class TrialRow:
    """One trial of a sweep.

    Attributes:
        number: its number in the study.
        value: the objective at its best epoch; None for a trial that never finished an epoch.
        status: ``finished``, ``stopped_early``, ``failed``, ``reused`` (an identical configuration's
            result) or ``running``.
        epochs: epochs trained.
        seconds: time spent training and evaluating.
        params: the searched values that were active.
        cost: what the sweep minimised beside the objective; None where it did not, or the trial failed.
        curve: the objective's best value so far by epoch.
        facts: further plain facts: best_epoch, parameters, peak_memory_mb, subgroups; lineage of a
            population's member: whose state it took over, after which epoch, with which values before.
        reason: why it failed.
        mlflow_run_id: its run, where it is tracked.
    """

    number: int
    value: float | None
    status: str
    epochs: int
    seconds: float
    params: Mapping[str, Any]
    cost: float | None = None
    curve: tuple[tuple[int, float], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    mlflow_run_id: str | None = None

    @property
    def trial_id(self) -> str:
        """The trial's name."""
        return trial_name(self.number)

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return {
            "trial_id": self.trial_id,
            "value": self.value,
            **({} if self.cost is None else {"cost": self.cost}),
            "status": self.status,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
            "params": dict(self.params),
            **({"reason": self.reason} if self.reason else {}),
            **({"lineage": self.facts["lineage"]} if self.replaced else {}),
        }

    @property
    def replaced(self) -> int:
        """How often it took over another trial's state (population based training)."""
        return len(self.facts.get("lineage", ()))


@dataclass(frozen=True)
class SweepResults:
    """A sweep's trials, best first.

    Attributes:
        name: the sweep's name.
        folder: where it lies.
        metric: what was optimised.
        mode: ``max`` or ``min``.
        rows: every trial, the best first, those without a value last; of equals the cheaper one first.
        cost: what was minimised beside the metric, or None.
        noise_ceiling: the best attainable validation Pearson, where the data knows it.
        facts: what the sweep noted about itself at its start.
    """

    name: str
    folder: Path
    metric: str
    mode: Literal["max", "min"]
    rows: tuple[TrialRow, ...]
    cost: Cost | None = None
    noise_ceiling: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> TrialRow | None:
        """The trial with the best value."""
        return self.rows[0] if self.rows and self.rows[0].value is not None else None

    @property
    def handle(self) -> str:
        """What finds it on a command line: its folder's name in the default results folder, else its path."""
        default = self.folder.parent.resolve() == Path(ResultsConfig().dir).resolve()
        return self.folder.name if default else str(self.folder)

    @property
    def front(self) -> tuple[TrialRow, ...]:
        """The trained trials that no other beats in score and in cost, best score first."""
        rows = [row for row in self.rows if row.cost is not None and row.status == "finished"]
        points = [(row.value or 0.0, row.cost or 0.0) for row in rows]
        return tuple(rows[i] for i in pareto_front(points, self.mode))

    @property
    def tracking(self) -> TrackingConfig:
        """Where the sweep was recorded."""
        config = build(TrackingConfig, self.facts.get("tracking", {}))
        folder = self.facts.get("started_in")
        return config if folder is None else started_in(config, Path(folder))

    def count(self, status: str) -> int:
        """Return the number of trials with a status."""
        return sum(row.status == status for row in self.rows)

    def trial_folder(self, row: TrialRow) -> Path:
        """Return the folder of a trial; of a reused result, that of the trial that was trained."""
        return trial_folder(self.folder, row.facts.get("duplicate_of", row.number))

    def config_of(self, row: TrialRow) -> dict[str, Any]:
        """Return the whole configuration that a trial's best model was trained with.

        A member of a population may have reached it with earlier values, or taken it over.

        Raises:
            GisearchError: it cannot be read.
        """
        if row.replaced and (self.trial_folder(row) / BEST).exists():
            return dict(CheckpointStore(self.trial_folder(row)).load(BEST)["config"])
        try:
            values = yaml.safe_load((self.trial_folder(row) / CONFIG_FILE).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the configuration of {row.trial_id}: {error}.") from None
        return dict(values)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values: the object that ``gisearch.report --json`` prints."""
        best = self.best
        front = [{"trial_id": row.trial_id, "value": row.value, "cost": row.cost} for row in self.front]
        return {
            "name": self.name,
            "metric": self.metric,
            "mode": self.mode,
            "best": None
            if best is None
            else {
                "trial_id": best.trial_id,
                "value": best.value,
                "config": self.config_of(best),
                "mlflow_run_id": best.mlflow_run_id,
            },
            **({} if self.noise_ceiling is None else {"noise_ceiling": self.noise_ceiling}),
            **({} if self.cost is None else {"cost": self.cost, "front": front}),
            "trials": [row.as_json() for row in self.rows],
        }


def load_results(folder: Path) -> SweepResults:
    """Read a sweep's results from its folder; a running or killed sweep can be read too.

    Raises:
        ConfigError: the folder holds no sweep.
    """
    facts = read_facts(folder)
    study = load_study(folder)
    mode = mode_of(study)
    runs = read_runs(folder)["children"]
    rows = [
        _row(trial, runs.get(str(trial.number)))
        for trial in study.get_trials(deepcopy=False)
        # A process that was killed while it asked for a trial leaves one that was never handed out.
        if trial.state != TrialState.WAITING and "assignment" in trial.user_attrs
    ]
    sign = -1 if mode == "max" else 1
    rows.sort(
        key=lambda row: (
            row.value is None,
            0.0 if row.value is None else sign * row.value,
            row.status == "reused",
            row.cost or 0.0,
            row.number,
        )
    )
    return SweepResults(
        name=facts["name"],
        folder=folder,
        metric=facts["metric"],
        mode=mode,
        rows=tuple(rows),
        cost=cost_of(study),
        noise_ceiling=facts.get("noise_ceiling"),
        facts=facts,
    )


def _row(trial: FrozenTrial, run_id: str | None) -> TrialRow:
    attrs = trial.user_attrs
    outcome = dict(attrs.get("outcome", {}))
    curve = tuple(sorted(trial.intermediate_values.items()))
    reused = "duplicate_of" in attrs
    if reused:
        outcome["duplicate_of"] = attrs["duplicate_of"]
    status = "reused" if reused else outcome.pop("status", "running")
    failed = status == "failed" or trial.state == TrialState.FAIL
    told = trial.values if trial.state == TrialState.COMPLETE else None
    value = told[0] if told else (curve[-1][1] if curve else None)
    return TrialRow(
        number=trial.number,
        value=None if failed else value,
        status=status if trial.state != TrialState.FAIL or reused else "failed",
        epochs=0 if reused else int(outcome.pop("epochs", curve[-1][0] if curve else 0)),
        seconds=0.0 if reused else float(outcome.pop("seconds", 0.0)),
        params=attrs["assignment"],
        cost=told[1] if told and len(told) > 1 else None,
        curve=curve,
        reason=outcome.pop("reason", None),
        facts={**outcome, **_facts(trial)},
        mlflow_run_id=run_id,
    )


def _facts(trial: FrozenTrial) -> dict[str, Any]:
    attrs = trial.user_attrs
    facts: dict[str, Any] = {"baseline": True} if attrs.get("baseline") else {}
    if LINEAGE in attrs:
        facts["lineage"] = attrs[LINEAGE]
    if trial.datetime_complete is not None:
        facts["ended"] = trial.datetime_complete.timestamp()
    return facts
