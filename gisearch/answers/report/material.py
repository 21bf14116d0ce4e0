"""Everything that the report is written from, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gisearch.answers.ensemble.findings import EnsembleFindings, read_ensemble
from gisearch.answers.findings import Findings, all_findings
from gisearch.answers.importance import Importances, sweep_importances
from gisearch.answers.report.attention import BestModel, ask_best
from gisearch.errors import GisearchError
from gisearch.search.effects import ParameterEffect, parameter_effects
from gisearch.search.figures import Predictions, read_predictions, sweep_figures
from gisearch.search.folders import SPACE_FILE
from gisearch.search.results import SweepResults

if TYPE_CHECKING:
    from gisearch.search.plan import SweepPlan


@dataclass(frozen=True)
class Material:
    """What the sections read.

    Attributes:
        results: the sweep.
        plan: what was searched, and the configuration of everything else; None where it cannot be read again.
        plan_problem: why not.
        importances: None where the trials or the plan do not allow any.
        effects: what each choice did.
        findings: confirmations and ablations.
        findings_problem: why they could not be read.
        ensemble: what was averaged, where something was.
        ensemble_problem: why it could not be read.
        best: what the best model tells.
        predictions: of the best model on the validation split, where it left any.
        figures: matplotlib figures by name.
    """

    results: SweepResults
    plan: SweepPlan | None = None
    plan_problem: str = ""
    importances: Importances | None = None
    effects: tuple[ParameterEffect, ...] = ()
    findings: tuple[Findings, ...] = ()
    findings_problem: str = ""
    ensemble: EnsembleFindings | None = None
    ensemble_problem: str = ""
    best: BestModel = field(default_factory=BestModel)
    predictions: Predictions | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def score_ceiling(self) -> float | None:
        """The noise ceiling, where it is one of the metric."""
        return self.results.noise_ceiling if self.results.metric == "val/pearson" else None

    @property
    def confirmation(self) -> Findings | None:
        """The confirmation, where there is one."""
        return next((one for one in self.findings if one.kind == "confirmation"), None)


def gather(results: SweepResults) -> Material:
    """Read all that a sweep's folder and its data tell; what cannot be read is missing, with the reason."""
    plan, plan_problem = _plan(results)
    try:
        findings, findings_problem = all_findings(results.folder), ""
    except GisearchError as error:
        findings, findings_problem = (), str(error)
    try:
        ensemble, ensemble_problem = read_ensemble(results.folder), ""
    except GisearchError as error:
        ensemble, ensemble_problem = None, str(error)
    best = ask_best(results)
    predictions = read_predictions(results)
    std = best.measured_std
    if std is not None and (predictions is None or len(std) != len(predictions.measured)):
        std = None
    return Material(
        results=results,
        plan=plan,
        plan_problem=plan_problem,
        importances=None if plan is None else sweep_importances(results, plan.space),
        effects=parameter_effects(results),
        findings=findings,
        findings_problem=findings_problem,
        ensemble=ensemble,
        ensemble_problem=ensemble_problem,
        best=best,
        predictions=predictions,
        figures=sweep_figures(results, narrow=True, measured_std=std),
    )


def _plan(results: SweepResults) -> tuple[SweepPlan | None, str]:
    from gisearch.search.plan import plan_sweep

    path = results.folder / SPACE_FILE
    if not path.exists():
        return None, f"the sweep's folder has no {SPACE_FILE}."
    try:
        return plan_sweep(path, tuple(results.facts.get("overrides", ()))), ""
    except GisearchError as error:
        return None, str(error).splitlines()[0]
