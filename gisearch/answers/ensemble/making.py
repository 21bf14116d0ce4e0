"""From sweeps to an ensemble: selected on the validation part, scored once on the test part, packaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from rich.console import Console

from gisearch.answers.ensemble.findings import EnsembleFindings, Member, read_ensemble, write_ensemble
from gisearch.answers.ensemble.library import (
    Candidate,
    Library,
    check_room,
    find_candidates,
    predict_candidates,
)
from gisearch.answers.ensemble.selection import Measure, Rules, Selection, select
from gisearch.answers.ensemble.words import sentences
from gisearch.answers.evidence import Evidence, ScoredPart
from gisearch.answers.findings import Interval
from gisearch.answers.source import Source
from gisearch.answers.weighted_metrics import Array
from gisearch.answers.wording import verdict_of
from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError, DataError, disk_full
from gisearch.search.folders import ENSEMBLE_FOLDER, MODEL_FOLDER
from gisearch.training.target import TargetScale

_ENSEMBLE, _BEST = "ensemble", "best"


@dataclass(frozen=True)
class Request:
    """What is to be made.

    Attributes:
        sources: the sweeps; the first one gets the ensemble.
        rules: how to select.
        top: candidates at most.
    """

    sources: Sequence[Source]
    rules: Rules
    top: int

    @property
    def options(self) -> dict[str, Any]:
        """The options that decide, as the command has them."""
        rules = self.rules
        return {
            "top": self.top,
            "rounds": rules.rounds,
            "start": rules.start,
            "bags": rules.bags,
            "seed": rules.seed,
        }

    def asked(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        """Return everything that decides what is selected."""
        sweeps = [source.results.name for source in self.sources]
        trials = [f"{one.sweep}/{one.row.trial_id}" for one in candidates]
        return {"sweeps": sweeps, **self.options, "trials": trials}


def stored_ensemble(request: Request, candidates: Sequence[Candidate]) -> EnsembleFindings | None:
    """Return the ensemble that was made before of the same models in the same way; None for none.

    Raises:
        ConfigError: another one was made, or the file is damaged.
    """
    folder = request.sources[0].folder
    found = read_ensemble(folder)
    asked = request.asked(candidates)
    if found is None or found.asked == asked:
        # Made again, it is the same; without its files it is of no use.
        return found if (folder / ENSEMBLE_FOLDER / MODEL_FOLDER).is_dir() else None
    before = found.asked
    options = " ".join(f"--{key} {before.get(key)}" for key in request.options)
    changed = (
        "with other trials" if before == {**asked, "trials": before.get("trials")} else f"with {options}"
    )
    raise ConfigError(
        f"{folder.name} has an ensemble of {', '.join(before['sweeps'])} that was made {changed}; expected "
        "the same to show it, or --again to make another one, which looks at the test part once more."
    )


def make_ensemble(request: Request, console: Console, *, again: bool) -> tuple[EnsembleFindings, bool]:
    """Make an ensemble and write it down, or return the one that was made before.

    Args:
        request: what is to be made.
        console: where progress is said.
        again: make another one in any case.

    Returns:
        The ensemble, and whether it is new.

    Raises:
        GisearchError: something does not fit; nothing has been written.
    """
    source = request.sources[0]
    candidates, left_out = find_candidates(request.sources, request.top)
    if not again and (found := stored_ensemble(request, candidates)) is not None:
        return found, False
    dataset = source.load_data()
    check_room(source.folder, candidates, dataset)
    console.print(
        f"Predicting the validation and test parts with {len(candidates)} models ...",
        highlight=False,
        style="dim",
    )
    library = predict_candidates(request.sources, candidates, left_out, dataset)
    metric, mode = source.results.metric.partition("/")[2], source.results.mode
    measure = measure_of(dataset, metric, mode)
    selection = select(library.val, measure, request.rules)
    findings = _findings(request, candidates, library, selection, dataset, measure)
    write_ensemble(source.folder, findings)
    return findings, True


def measure_of(dataset: Dataset, metric: str, mode: Literal["max", "min"]) -> Measure:
    """Return what scores predictions of the validation part; it reads no other label.

    Raises:
        DataError: its labels do not allow the metric.
    """
    measured = dataset.values("val").astype(np.float64)
    if metric != "loss" and measured.min() == measured.max():
        raise DataError(f"the validation part has one value of {dataset.target.name!r}: no {metric} exists.")
    return Measure(metric, mode, dataset.target.kind, measured, TargetScale.fit(dataset).std)


def judge(
    library: Library, weights: Array, best: int, dataset: Dataset, measure: Measure, seed: int
) -> Mapping[str, Interval]:
    """Score the ensemble and the best candidate on the test part: ``test``, ``best_test``, ``difference``.

    Raises:
        DataError: its labels do not allow the metric.
    """
    predicted = {_ENSEMBLE: {0: weights @ library.test}, _BEST: {0: library.test[best]}}
    part = ScoredPart(dataset.values("test").astype(np.float64), predicted)
    evidence = Evidence([part], measure.metric, measure.kind, scale=measure.scale, seed=seed)
    test, best_test = evidence.interval(_ENSEMBLE), evidence.interval(_BEST)
    difference = evidence.difference(_ENSEMBLE, _BEST)
    if test is None or best_test is None or difference is None:
        raise DataError(f"the labels of the test part allow no {measure.metric}.")
    return {"test": test, "best_test": best_test, "difference": difference}


def _findings(
    request: Request,
    candidates: Sequence[Candidate],
    library: Library,
    selection: Selection,
    dataset: Dataset,
    measure: Measure,
) -> EnsembleFindings:
    source = request.sources[0]
    scores, weights = measure.score(library.val), selection.weights
    everyone = [
        Member(one.sweep, one.row.trial_id, model, float(score), float(weight))
        for one, model, score, weight in zip(library.candidates, library.models, scores, weights, strict=True)
    ]
    order = [int(i) for i in np.argsort(-weights, kind="stable") if weights[i] > 0]
    best = int(np.argmax(measure.gain(library.val)))
    intervals = judge(library, weights, best, dataset, measure, request.rules.seed)
    digest = _package(source, [(library.candidates[i], float(weights[i])) for i in order], dataset)
    ceiling = dataset.noise_ceiling if measure.metric == "pearson" else None
    findings = EnsembleFindings(
        asked=request.asked(candidates),
        metric=measure.metric,
        mode=measure.mode,
        noise_ceiling=None if ceiling is None else float(ceiling["test"]),
        candidates=len(library.candidates),
        left_out=library.left_out,
        members=tuple(everyone[i] for i in order),
        best=everyone[best],
        val=float(measure.score((weights @ library.val)[None])[0]),
        **intervals,
        verdict=verdict_of(intervals["difference"], measure.mode),
        paths=selection.paths,
        data=dataset.digest(),
        split=dataset.split.digest(),
        weights=digest,
        registered=None,
        sentences=(),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return sentences(findings)


def _package(source: Source, members: Sequence[tuple[Candidate, float]], dataset: Dataset) -> str:
    """Write the packaged model; return the digest of its weights."""
    # Imports MLflow.
    from gisearch.tracking.model_package import package_ensemble
    from gisearch.tracking.scoring_ensemble import MemberRun

    target = source.folder / ENSEMBLE_FOLDER / MODEL_FOLDER
    runs = {f"{i:02d}": MemberRun(one.folder, weight) for i, (one, weight) in enumerate(members, 1)}
    try:
        target.parent.mkdir(exist_ok=True)
        return package_ensemble(runs, target, dataset)
    except OSError as error:
        raise disk_full(target, error) or ConfigError(f"cannot write {target}: {error.strerror}.") from None
