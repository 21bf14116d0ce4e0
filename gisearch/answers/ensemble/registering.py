"""An ensemble in MLflow: a version of the sweep's registered model, found by the alias ``ensemble``."""

from __future__ import annotations

from dataclasses import replace

from gisearch.answers.ensemble.findings import EnsembleFindings, write_ensemble
from gisearch.answers.ensemble.words import label
from gisearch.search.folders import ENSEMBLE_FOLDER, MODEL_FOLDER, read_runs
from gisearch.search.results import SweepResults
from gisearch.tracking.attach import attach, attach_model
from gisearch.tracking.description import describe_ensemble
from gisearch.tracking.registration import ENSEMBLE, Winner

# Its score in the sweep's run, beside `objective`, which is the best trial's.
_SCORE = "ensemble/objective"


def register_ensemble(results: SweepResults, found: EnsembleFindings) -> tuple[EnsembleFindings, str]:
    """Register an ensemble, unless it is registered or the sweep is not tracked.

    A store that cannot be reached costs a sentence, and the same command tries again.

    Args:
        results: the sweep that it belongs to.
        found: the ensemble.

    Returns:
        The ensemble, with its address where it has one now; and why it has none.

    Raises:
        GisearchError: the address cannot be written down.
    """
    if found.registered is not None:
        return found, ""
    tracking, run = results.tracking, read_runs(results.folder)["parent"]
    if not tracking.enabled or not tracking.register:
        key = "register" if tracking.enabled else "enabled"
        return found, f"nothing was registered in MLflow: tracking.{key} is false."
    if run is None:
        return found, "nothing was registered in MLflow: the sweep has no run there."
    names = {f"{one.sweep}/{one.trial}": one for one in found.members}
    scores = {
        _SCORE: found.val,
        f"ensemble/test_{found.metric}": found.test.mean,
        "ensemble/members": float(len(found.members)),
    }
    if problem := attach(tracking, run, {}, metrics=scores):
        return found, problem
    winner = Winner(
        name=results.name,
        weights=found.weights,
        description=describe_ensemble(
            f"val/{found.metric}",
            found.val,
            [(label(found, one.trial, one.sweep), one.model, one.weight) for one in found.members],
            found.data,
        ),
        params={name: round(one.weight, 6) for name, one in names.items()},
        tags={
            "gisearch.metric": f"val/{found.metric}",
            "gisearch.objective": f"{found.val:.6g}",
            "gisearch.data": found.data,
        },
        alias=ENSEMBLE,
        metric=_SCORE,
    )
    package = results.folder / ENSEMBLE_FOLDER / MODEL_FOLDER
    address, problem = attach_model(tracking, run, package, winner)
    if address is not None:
        found = replace(found, registered=address)
        write_ensemble(results.folder, found)
    return found, problem
