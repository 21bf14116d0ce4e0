"""From a search-space file and overrides to a checked plan; nothing is started here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gisearch.config import assign, build, flatten, to_plain
from gisearch.errors import ConfigError
from gisearch.search.compilation import compile_space
from gisearch.search.config import SweepConfig
from gisearch.search.covering import covering_assignments
from gisearch.search.model_options import MODEL, compose_models
from gisearch.search.population import population_problem, with_population
from gisearch.search.space import Assignment, SearchSpace, canonical
from gisearch.search.space_file import SEED, SpaceFile
from gisearch.training.config import ExperimentConfig


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked and can start.

    Attributes:
        source: the search-space file.
        question: what the sweep is to answer, in the file's words.
        config: everything that is not searched; where the model is, with the first model's keys.
        experiments: the experiment that trials vary, by model.
        space: what is searched.
        baselines: configurations to evaluate first.
        notes: what the user should know before it starts.
        overrides: the command line's overrides, kept to reproduce it.
    """

    source: str
    question: str
    config: SweepConfig
    experiments: Mapping[str, ExperimentConfig]
    space: SearchSpace
    baselines: tuple[Assignment, ...]
    notes: tuple[str, ...]
    overrides: tuple[str, ...]

    def configure(self, assignment: Mapping[str, Any], seed: int | None = None) -> ExperimentConfig:
        """Return the experiment of one trial; where the values hold a seed, it has that one.

        Raises:
            ConfigError: the values do not fit together.
        """
        values = assign(to_plain(self.experiments[self.model_of(assignment)]), assignment)
        if seed is not None and SEED not in assignment:
            values["seed"] = seed
        return build(ExperimentConfig, values)

    def model_of(self, assignment: Mapping[str, Any]) -> str:
        """Return the name of a trial's model."""
        return str(assignment.get(MODEL, self.config.model.name))

    @property
    def draws_nothing(self) -> bool:
        """Whether every trial is a named baseline, as in a comparison."""
        search = self.config.search
        return len(self.baselines) >= search.trials and not search.exhaustive and search.scheduler != "pbt"

    def covering(self) -> Iterator[Assignment]:
        """Yield configurations in which, within every model, every value meets every other that it can.

        None where nothing is drawn: the baselines are all that there is.
        """
        if self.draws_nothing:
            return
        if MODEL not in _paths(self.space):
            yield from covering_assignments(self.space)
            return
        for name in self.experiments:
            yield from covering_assignments(self.space.given(MODEL, name))

    def variants(self) -> Iterator[ExperimentConfig]:
        """Yield experiments whose models, or what is derived for them, differ.

        They are those of the baselines and of the covering configurations.
        """
        seen = set()
        for assignment in (*self.baselines, *self.covering()):
            experiment = self.configure(assignment)
            text = canonical({"model": to_plain(experiment.model), "derived": to_plain(experiment.derived)})
            if text not in seen:
                seen.add(text)
                yield experiment

    @property
    def shared(self) -> dict[str, Any]:
        """The whole configuration by dotted path, without what differs between the models."""
        bases = [flatten(to_plain(experiment)) for experiment in self.experiments.values()]
        return {
            path: value
            for path, value in flatten(to_plain(self.config)).items()
            if all(base.get(path, value) == value for base in bases)
            and (path not in bases[0] or all(path in base for base in bases))
        }

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs that any trial can train."""
        searched = [p for p in self.space.parameters if p.path == "trainer.max_epochs"]
        if searched:
            return int(max(searched[0].domain.representatives))
        return max(experiment.trainer.max_epochs for experiment in self.experiments.values())


def plan_sweep(path: Path, overrides: Sequence[str] = ()) -> SweepPlan:
    """Read, compose and check a sweep.

    Args:
        path: the search-space file.
        overrides: the command line's overrides; a value given to a searched key takes it out of the space.

    Raises:
        ConfigError: anything wrong with the file or the overrides: what, in which line, what was expected.
    """
    file = SpaceFile.read(path)
    options = compose_models(file, overrides)
    config, objective_notes = _without_early_stopping(options.config)
    bases = {name: flatten(to_plain(one.experiment)) for name, one in options.configs.items()}
    base = {key: value for one in reversed(bases.values()) for key, value in one.items()}
    # Condition keys and pins are looked up in the base; keys of other options of a group are no mistakes.
    pinned = {key: base[key] for key in (o.lstrip("+").partition("=")[0] for o in overrides) if key in base}
    pinned |= options.pinned
    space, notes = compile_space(file.space, base, file.fail_in("space"), pinned, options.branches)
    plan = SweepPlan(
        source=str(path),
        question=str(file.document.get("question", "")).strip(),
        config=config,
        experiments={name: one.experiment for name, one in options.configs.items()},
        space=space,
        baselines=(),
        notes=tuple(notes),
        overrides=tuple(overrides),
    )
    baselines, more = _baselines(file, plan, pinned)
    plan = replace(plan, baselines=baselines)
    _check_combinations(plan, file)
    notes += more + objective_notes
    if problem := population_problem(config, space):
        raise file.fail(("search", "scheduler"), problem)
    config, population_notes = with_population(config, plan.max_epochs)
    notes += population_notes
    size = space.size(limit=100_000)
    if config.search.exhaustive:
        for parameter in space.parameters:
            if parameter.domain.all_values is None:
                raise file.fail_in("space")(
                    parameter.path, "search.exhaustive needs a finite space; give the range a step"
                )
        notes.append(f"exhaustive: every one of the {size:,} configurations is evaluated once")
    elif (
        size is not None
        and size <= config.search.trials
        and config.search.scheduler != "pbt"
        and not plan.draws_nothing
    ):
        notes.append(
            f"the space holds only {size} configurations: search.exhaustive=true would evaluate each once"
        )
    return replace(plan, config=config, notes=tuple(notes))


def _without_early_stopping(config: SweepConfig) -> tuple[SweepConfig, list[str]]:
    """Switch early stopping off where a cost is searched as well; return what to tell the user of it."""
    cost, notes = config.objective.cost, []
    # A population with a cost is an error.
    if cost != "none" and config.search.scheduler not in ("none", "pbt"):
        config = replace(config, search=replace(config.search, scheduler="none"))
        notes.append("early stopping is off: it judges by score alone and would end cheap configurations")
    if cost == "seconds":
        notes.append("training seconds are measured: the same sweep need not suggest the same trials again")
    return config, notes


def _check_combinations(plan: SweepPlan, file: SpaceFile) -> None:
    """Build configurations that cover every pair of values; the typed configuration knows the limits."""
    for assignment in plan.covering():
        try:
            plan.configure(assignment)
        except ConfigError as error:
            raise _locate(str(error), assignment, file) from None


def _locate(message: str, assignment: Assignment, file: SpaceFile) -> ConfigError:
    def mentioned(path: str) -> bool:
        return any(
            path[i + 1 :] in message
            for i in range(-1, len(path))
            if (i == -1 or path[i] == ".") and "." in path[i + 1 :]
        ) or message.startswith(f"{path}:")

    involved = [path for path in assignment if mentioned(path)]
    others = ", ".join(
        f"{path}={json.dumps(value)}"
        for path, value in assignment.items()
        if path in involved or path.rpartition(".")[2] in message
    )
    place = ("space", involved[0]) if involved else ("space",)
    return file.fail(
        place, f"{message.removesuffix('.')} (in the configuration {others})" if others else message
    )


def _baselines(
    file: SpaceFile, plan: SweepPlan, pinned: Mapping[str, Any]
) -> tuple[tuple[Assignment, ...], list[str]]:
    bases = {name: flatten(to_plain(one)) for name, one in plan.experiments.items()}
    baselines, notes = [], []
    for i, values in enumerate(file.section("baselines", list)):
        place = ("baselines", str(i))
        if not isinstance(values, Mapping):
            raise file.fail(place, f"baseline {i + 1}: expected a mapping of keys to values, got {values!r}")
        values = flatten({str(key): value for key, value in values.items()})
        conflicts = [k for k, v in values.items() if k in pinned and pinned[k] != v]
        left_out = [k for k in values if k in file.space and k not in _paths(plan.space)]
        if conflicts:
            notes.append(f"baseline {i + 1} is left out: it needs another {', '.join(conflicts)}")
            continue
        values = {k: v for k, v in values.items() if k not in left_out}
        problem = plan.space.check_assignment(values)
        if problem:
            raise file.fail(place, f"baseline {i + 1}: {problem}")
        values = {key: plan.space[key].domain.exact(value) for key, value in values.items()}
        baselines.append(complete(plan.space, values, bases, plan.model_of(values)))
        try:
            plan.configure(baselines[-1])
        except ConfigError as error:
            raise file.fail(place, f"baseline {i + 1}: {error}") from None
    return tuple(baselines), notes


def _paths(space: SearchSpace) -> set[str]:
    return {p.path for p in space.parameters}


def complete(
    space: SearchSpace, values: Mapping[str, Any], bases: Mapping[str, Mapping[str, Any]], model: str
) -> Assignment:
    """Fill what a baseline leaves open with its model's own values where the space has them.

    Args:
        space: the search space.
        values: the baseline; what does not exist beside its other values is dropped.
        bases: the flattened experiment that trials vary, by model.
        model: the baseline's model.
    """
    base, complete = bases[model], Assignment()
    for parameter in space.parameters:
        if not space.is_active(parameter, complete):
            continue
        if parameter.path in values:
            complete[parameter.path] = values[parameter.path]
        elif base[parameter.path] in parameter.domain:
            complete[parameter.path] = parameter.domain.exact(base[parameter.path])
        else:
            options: Iterable[Any] = parameter.domain.representatives
            own = base[parameter.path]
            numeric = isinstance(own, int | float) and not isinstance(own, bool)
            complete[parameter.path] = (
                min(options, key=lambda v: abs(math.log(abs(v) + 1e-12) - math.log(abs(own) + 1e-12)))
                if numeric and all(isinstance(v, int | float) for v in options)
                else next(iter(options))
            )
    return complete
