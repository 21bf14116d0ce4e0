"""Tells the tracker what happens in a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gisearch.config import flatten, to_plain
from gisearch.data.dataset import Dataset
from gisearch.data.queries import GENE_COLUMNS
from gisearch.search.config import ResultsConfig
from gisearch.search.folders import read_runs, write_runs
from gisearch.search.ledger import Handout, Outcome
from gisearch.search.observer import Observer
from gisearch.search.pareto import measured_cost
from gisearch.search.plan import SweepPlan
from gisearch.search.trial import trial_name
from gisearch.tracking.description import SweepQuestion, describe, describe_trial
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.provenance import collect_provenance
from gisearch.tracking.records import DatasetRecord, Scalar, TrialEnd, TrialStart, TrialStatus
from gisearch.training.config import ExperimentConfig, config_yaml
from gisearch.training.objective import Objective

_STATUS: Mapping[str, TrialStatus] = {
    "finished": "finished",
    "stopped_early": "stopped_early",
    "failed": "failed",
}


class Recorder(Observer):
    """Turns the searcher's events into tracking records.

    Args:
        tracker: writes them.
        objective: what the search optimises.
        ended: trials that an earlier process finished, where the sweep's own curve goes on.
        best: the best value among them.
    """

    def __init__(
        self, tracker: SweepTracker, objective: Objective, ended: int = 0, best: float | None = None
    ) -> None:
        self.tracker, self.objective = tracker, objective
        self._best: dict[int, tuple[float, dict[str, float]]] = {}
        self._ended, self._best_of_all = ended, best

    def on_start(self, handout: Handout, config: ExperimentConfig) -> None:
        """Open the trial's run."""
        params: dict[str, Scalar] = {
            path: value if isinstance(value, str | int | float | bool | None) else str(value)
            for path, value in {**flatten(to_plain(config)), **handout.assignment}.items()
        }
        self.tracker.start_trial(
            TrialStart(
                handout.number,
                trial_name(handout.number),
                params,
                config_yaml(config),
                describe_trial(self.tracker.directory.name, {key: params[key] for key in handout.assignment}),
            )
        )

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        """Add an epoch to the trial's curves; remember the best epoch's metrics."""
        self.tracker.log_metrics(number, epoch, metrics)
        value = metrics.get(self.objective.metric)
        known = self._best.get(number)
        if value is not None and (known is None or self.objective.better(value, known[0])):
            self._best[number] = (value, dict(metrics))

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Close the trial's run."""
        facts = dict(outcome.summary or {})
        _, best = self._best.pop(number, (None, {}))
        summary = {k: v for k, v in best.items() if k.startswith("val/")}
        if outcome.value is not None:
            summary["objective"] = outcome.value
        parameters = facts.get("parameters", {})
        numbers = {
            "seconds": facts.get("seconds"),
            "epochs": facts.get("epochs"),
            "best_epoch": facts.get("best_epoch"),
            "peak_memory_mb": facts.get("peak_memory_mb"),
            "parameters": parameters.get("total"),
            "cost": self._cost(outcome),
            **facts.get("subgroups", {}),
        }
        summary |= {key: float(value) for key, value in numbers.items() if value is not None}
        tags = {f"gisearch.parameters.{k}": str(v) for k, v in parameters.items() if k != "total"}
        self.tracker.end_trial(TrialEnd(number, _STATUS[outcome.status], outcome.reason, summary, tags))
        self._ended += 1
        if outcome.value is not None:
            if self._best_of_all is None or self.objective.better(outcome.value, self._best_of_all):
                self._best_of_all = outcome.value
            self.tracker.log_metrics(None, self._ended, {"objective": self._best_of_all})

    def _cost(self, outcome: Outcome) -> float | None:
        cost = self.objective.cost
        return None if cost is None or outcome.status != "finished" else measured_cost(cost, outcome.summary)


def sweep_question(folder: Path, plan: SweepPlan, dataset: Dataset, objective: Objective) -> SweepQuestion:
    """Return what the sweep is for, as its page in MLflow tells it."""
    ceiling = None if dataset.noise_ceiling is None else dataset.noise_ceiling.get("val")
    for_its_cost = f" for its {objective.cost}" if objective.cost else ""
    return SweepQuestion(
        question=plan.question or f"Which configuration has the best {objective.metric}{for_its_cost}?",
        metric=objective.metric,
        mode=objective.mode,
        trials=plan.config.search.trials,
        dimensions={p.path: str(p.domain) for p in plan.space.parameters},
        dataset=DatasetRecord(
            name=plan.config.data.source,
            digest=dataset.digest(),
            source="; ".join(dataset.report.sources),
            profile={
                "genes": dataset.cell.num_genes,
                "networks": ", ".join(dataset.cell.networks),
                **({"features": ", ".join(dataset.cell.features)} if dataset.cell.features else {}),
                "genotypes": len(dataset.genotypes),
                **{part: len(dataset.split.part(part)) for part in ("train", "val", "test")},
            },
            columns={**dict.fromkeys(GENE_COLUMNS, "string"), dataset.target.name: "double"},
        ),
        command=["python", "-m", "gisearch.sweep", plan.source, *plan.overrides],
        resume_command=["python", "-m", "gisearch.sweep", "--resume", _handle(folder)],
        commit=collect_provenance().get("git.commit"),
        noise_ceiling=ceiling if objective.metric == "val/pearson" else None,
    )


def _handle(folder: Path) -> str:
    """Return what finds a sweep again from the working directory: its name in the usual folder, or a path."""
    return folder.name if folder.parent == Path(ResultsConfig().dir) else str(folder)


def start_tracking(
    tracker: SweepTracker, folder: Path, plan: SweepPlan, question: SweepQuestion, *, resumed: bool
) -> None:
    """Create the sweep's run, or go on in that of the interrupted sweep."""
    runs = read_runs(folder) if resumed else {"parent": None, "children": {}}
    tracker.start(
        folder.name,
        {k: v for k, v in plan.shared.items() if isinstance(v, str | int | float | bool)},
        collect_provenance(),
        describe(question),
        dataset=question.dataset,
        searched=list(question.dimensions),
        mode="min" if question.mode == "min" else "max",
        parent_run_id=runs["parent"],
        children={int(number): run for number, run in runs["children"].items()},
    )
    if tracker.parent_run_id is not None:
        write_runs(folder, tracker.parent_run_id, tracker.run_ids)
