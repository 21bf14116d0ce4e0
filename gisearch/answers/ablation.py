"""Ablation: one choice changed, everything else equal, several seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gisearch.answers.comparison import fresh_seeds
from gisearch.answers.findings import Candidate
from gisearch.answers.record import ComparisonSweep, Record
from gisearch.answers.source import Source, free_name, misfit
from gisearch.config import flatten, to_plain
from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError, nearest_name
from gisearch.search.domains import same
from gisearch.search.plan import SweepPlan, complete
from gisearch.search.results import TrialRow
from gisearch.search.space import Assignment, canonical
from gisearch.search.space_file import HELD_EQUAL, SEED

DEFAULT = "default"


@dataclass(frozen=True)
class Centre:
    """The configuration that an ablation changes.

    Attributes:
        row: its trial.
        params: its values, with the choice's own.
        note: why it is not the best trial, where nobody asked for another one.
    """

    row: TrialRow
    params: Assignment
    note: str | None = None


def find_centre(source: Source, choice: str, trial: str | None) -> Centre:
    """Return the best configuration, of those that have a searched choice; or a named trial's.

    Raises:
        ConfigError: there is no such trial or choice, or the configuration does not have it.
    """
    rows = {row.trial_id: row for row in source.results.rows if row.value is not None}
    if trial is not None and trial not in rows:
        raise ConfigError(f"--of: the sweep has no trained trial {trial!r}.{nearest_name(trial, rows)}")
    row, note = _best_with(source, choice) if trial is None else (rows[trial], None)
    params, config = source.params_of(row), flatten(source.results.config_of(row))
    for section in HELD_EQUAL:
        if f"{choice}.".startswith(f"{section}."):
            raise ConfigError(
                f"--choice: {choice} is equal for all trials, so that they can be compared; expected a key "
                "of model, optimizer, trainer or derived."
            )
    if choice not in params:
        # One that the command line fixed has left the space.
        searched = any(parameter.path == choice for parameter in source.plan.space.parameters)
        if searched or (choice in source.file.space and choice not in config):
            raise ConfigError(_absent(source, row, choice))
        if choice not in config:
            inside = [path for path in config if path.startswith(f"{choice}.")]
            hint = nearest_name(choice, source.file.space) or nearest_name(choice, config)
            if inside:
                hint = f" It is a section; expected one of {', '.join(inside[:6])}."
            raise ConfigError(f"--choice: unknown path {choice!r}.{hint}")
        params[choice] = config[choice]
    return Centre(row, params, note)


def _best_with(source: Source, choice: str) -> tuple[TrialRow, str | None]:
    """Return the best trial, or where it lacks a choice that others have the best of these, and why."""
    trained = source.trained()
    best = trained[0]
    if choice in best.params:
        return best, None
    # Those that were stopped early come last: their scores are not those of their ends.
    measured = [*trained, *(row for row in source.results.rows if row.value is not None)]
    having = next((row for row in measured if choice in row.params), None)
    if having is None:
        return best, None
    metric = source.results.metric
    return having, (
        f"the best trial, {best.trial_id} ({metric} {best.value:.4f}), has no {choice}; this is about "
        f"{having.trial_id} ({having.value:.4f}), the best that has it"
    )


def propose_ablation(
    source: Source, dataset: Dataset, choice: str, asked: Mapping[str, Any], given: Sequence[Any] | None
) -> Record:
    """Build the best configuration with every value of the choice, and check each.

    Args:
        source: the sweep.
        dataset: its data.
        choice: a path into the configuration.
        asked: ``seeds``, ``values`` and ``of``.
        given: values to take; None takes all of a searched choice, of a range its ends.

    Raises:
        ConfigError: the choice or a given value does not fit.
    """
    centre = find_centre(source, choice, asked["of"])
    own = centre.params[choice]
    if given is None and choice not in source.file.space:
        raise ConfigError(
            f"--choice: {choice} was not searched; expected --values with what to compare with "
            f"{json.dumps(own)}, such as --values a,b."
        )
    listed = list(source.domain(choice).representatives) if given is None else list(given)
    others: list[Any] = []
    for value in listed:
        if not any(same(value, known) for known in (own, *others)):
            others.append(value)
    if not others:
        raise ConfigError(
            f"--values: expected another value than {json.dumps(own)}, which {centre.row.trial_id} has."
        )
    with TemporaryDirectory() as scratch:
        name = f"{source.results.name}_ablate_{choice}"
        plan = source.compare(name, "", [centre.params], (0,), Path(scratch), values={choice: [own, *others]})
    whole = {path: value for path, value in plan.baselines[0].items() if path != SEED}
    if choice not in whole:
        raise ConfigError(_absent(source, centre.row, choice))
    candidates = [_candidate(source, whole, own, None)]
    notes = [] if centre.note is None else [centre.note]
    for value in others:
        assignment, borrowed = change(plan, whole, choice, value, source.trained())
        problem = misfit(plan, dataset, assignment)
        if problem is None:
            candidates.append(_candidate(source, assignment, value, borrowed))
            for path, giver in borrowed.items():
                taken = f"{path} = {json.dumps(assignment[path])}"
                notes.append(f"{choice} = {json.dumps(value)} needs {taken}, taken from {giver_words(giver)}")
        elif given is not None:
            raise ConfigError(f"--values: {json.dumps(value)} does not fit {centre.row.trial_id}: {problem}")
        else:
            notes.append(f"{choice} = {json.dumps(value)} is left out: {problem}")
    if len(candidates) == 1:
        raise ConfigError(f"--choice: no other value of {choice} fits {centre.row.trial_id}: {notes[-1]}")
    return Record(
        choice=choice,
        asked=asked,
        candidates=tuple(candidates),
        seeds=fresh_seeds(source, f"ablation of {choice}", asked["seeds"]),
        sweeps=(ComparisonSweep(free_name(source.results_dir, name), None),),
        notes=tuple(notes),
    )


def change(
    plan: SweepPlan, centre: Assignment, choice: str, value: Any, rows: Sequence[TrialRow]
) -> tuple[Assignment, dict[str, str]]:
    """Return a configuration with one choice changed, and where values came from that it did not have.

    Keys that no longer exist vanish; those that exist only now come from the best trial with this value,
    else from the model's own settings.

    Args:
        plan: a plan whose space holds the value.
        centre: the complete configuration.
        choice: what changes.
        value: its value.
        rows: the sweep's trials, best first.
    """
    donors = [row for row in rows if choice in row.params and same(row.params[choice], value)]
    bases = {name: flatten(to_plain(one)) for name, one in plan.experiments.items()}
    changed, borrowed = Assignment(), dict[str, str]()
    for parameter in plan.space.parameters:
        path = parameter.path
        if path == SEED or not plan.space.is_active(parameter, changed):
            continue
        donor = next((row for row in donors if path in row.params), None)
        if path == choice:
            changed[path] = value
        elif path in centre:
            changed[path] = centre[path]
        elif donor is not None:
            changed[path], borrowed[path] = donor.params[path], donor.trial_id
        else:
            changed[path] = complete(plan.space, changed, bases, plan.model_of(changed))[path]
            borrowed[path] = DEFAULT
    return changed, borrowed


def _candidate(
    source: Source, params: Assignment, value: Any, borrowed: Mapping[str, str] | None
) -> Candidate:
    text = canonical(params)
    known = [row.value for row in source.results.rows if canonical(row.params) == text]
    score = next((v for v in known if v is not None), None)
    return Candidate(json.dumps(value), False, params, score, 0, None, None, (), borrowed or None)


def _absent(source: Source, row: TrialRow, choice: str) -> str:
    spec = source.file.space.get(choice)
    when = spec.get("when", {}) if isinstance(spec, Mapping) else {}
    needs = " and ".join(f"{path} is {json.dumps(value)}" for path, value in when.items())
    having = [r.trial_id for r in source.trained() if choice in r.params]
    hint = f" Choose a trial that has it: --of {having[0]}." if having else ""
    return (
        f"--choice: {row.trial_id} has no {choice}{f', which exists where {needs}' if needs else ''}.{hint}"
    )


def giver_words(giver: str) -> str:
    """Return where a borrowed value comes from, in words."""
    return "the model's own settings" if giver == DEFAULT else giver
