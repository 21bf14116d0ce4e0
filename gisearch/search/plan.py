"""From a search-space file and overrides to a checked plan; nothing is started here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gisearch.composition import compose, defaults_of
from gisearch.config import assign, build, flatten, to_plain
from gisearch.data.config import data_nodes
from gisearch.errors import ConfigError, nearest_name
from gisearch.models.registry import MODELS
from gisearch.search.config import ResultsConfig, SearchConfig, SweepConfig
from gisearch.search.space import Assignment, SearchSpace, compile_space, covering_assignments
from gisearch.search.yaml_lines import Lines, read_yaml
from gisearch.tracking.config import TrackingConfig
from gisearch.training.experiment import ExperimentConfig
from gisearch.training.loop import TrainerConfig
from gisearch.training.metrics import ObjectiveConfig
from gisearch.training.optimizer import OptimizerConfig

FILE_KEYS = ("name", "question", "base", "objective", "space", "baselines", "search", "tracking", "results")
_SECTIONS = ("objective", "search", "tracking", "results")


def configuration_nodes() -> dict[str, dict[str, Any]]:
    """Return the defaults of every configuration class as Hydra nodes by ``group/name``."""
    nodes = data_nodes()
    nodes |= {f"model/{name}_defaults": defaults_of(cls) for name, cls in MODELS.items()}
    nodes |= {
        f"{section}/default": defaults_of(cls)
        for section, cls in (
            ("optimizer", OptimizerConfig),
            ("trainer", TrainerConfig),
            ("objective", ObjectiveConfig),
            ("search", SearchConfig),
            ("tracking", TrackingConfig),
            ("results", ResultsConfig),
        )
    }
    return nodes


def compose_sweep(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose the whole configuration as plain values.

    Raises:
        ConfigError: an unknown group, option or key, or broken syntax.
    """
    return compose(overrides, configuration_nodes(), "config")


def compose_experiment(overrides: Sequence[str]) -> tuple[ExperimentConfig, SweepConfig]:
    """Compose one experiment, and the whole configuration with its results and tracking sections.

    Raises:
        ConfigError: an unknown key or a value outside its limits.
    """
    sweep = build(SweepConfig, compose_sweep(overrides))
    return sweep.experiment, sweep


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that has been checked and can start.

    Attributes:
        source: the search-space file.
        question: what the sweep is to answer, in the file's words.
        config: everything that is not searched.
        space: what is.
        baselines: configurations to evaluate first.
        notes: what the user should know before it starts.
        overrides: the command line's overrides, kept to reproduce it.
    """

    source: str
    question: str
    config: SweepConfig
    space: SearchSpace
    baselines: tuple[Assignment, ...]
    notes: tuple[str, ...]
    overrides: tuple[str, ...]

    def configure(self, assignment: Mapping[str, Any], seed: int | None = None) -> ExperimentConfig:
        """Return the experiment of one trial.

        Raises:
            ConfigError: the values do not fit together.
        """
        values = assign(to_plain(self.config.experiment), assignment)
        if seed is not None:
            values["seed"] = seed
        return build(ExperimentConfig, values)

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs that any trial can train."""
        searched = [p for p in self.space.parameters if p.path == "trainer.max_epochs"]
        if searched:
            return int(max(searched[0].domain.representatives))
        return self.config.trainer.max_epochs


def plan_sweep(path: Path, overrides: Sequence[str] = ()) -> SweepPlan:
    """Read, compose and check a sweep.

    Args:
        path: the search-space file.
        overrides: the command line's overrides; a value given to a searched key takes it out of the space.

    Raises:
        ConfigError: anything wrong with the file or the overrides: what, in which line, what was expected.
    """
    document, lines = read_yaml(path)
    file = _File(path, document, lines)
    file.check_keys()
    values = compose_sweep([*file.overrides(), *overrides])
    config = build(SweepConfig, values)
    base = flatten(to_plain(config.experiment))
    # Condition keys and pins are looked up in the base; keys of other options of a group are no mistakes.
    pinned = {key: base[key] for key in (o.lstrip("+").partition("=")[0] for o in overrides) if key in base}
    space, notes = compile_space(file.section("space", dict), base, file.fail_in("space"), pinned)
    plan = SweepPlan(
        source=str(path),
        question=str(document.get("question", "")).strip(),
        config=config,
        space=space,
        baselines=(),
        notes=tuple(notes),
        overrides=tuple(overrides),
    )
    _check_combinations(plan, file)
    baselines, more = _baselines(file, plan, pinned)
    notes += more
    size = space.size(limit=100_000)
    if config.search.exhaustive:
        for parameter in space.parameters:
            if parameter.domain.all_values is None:
                raise file.fail_in("space")(
                    parameter.path, "search.exhaustive needs a finite space; give the range a step"
                )
        notes.append(f"exhaustive: every one of the {size:,} configurations is evaluated once")
    elif size is not None and size <= config.search.trials:
        notes.append(
            f"the space holds only {size} configurations: search.exhaustive=true would evaluate each once"
        )
    return SweepPlan(**{**vars(plan), "baselines": baselines, "notes": tuple(notes)})


@dataclass(frozen=True)
class _File:
    """A search-space file and where everything in it stands."""

    path: Path
    document: Mapping[str, Any]
    lines: Lines

    def check_keys(self) -> None:
        for key in self.document:
            if key not in FILE_KEYS:
                raise self.fail((str(key),), f"unknown key {key!r}.{nearest_name(str(key), FILE_KEYS)}")
        if "space" not in self.document:
            raise ConfigError(f"{self.path}: the key 'space' is missing; expected the parameters to search.")

    def section(self, key: str, kind: type) -> Any:
        value = self.document.get(key) or kind()
        if not isinstance(value, kind):
            what = "a mapping" if kind is dict else "a list"
            raise self.fail((key,), f"expected {what}, got {value!r}")
        return value

    def overrides(self) -> list[str]:
        """Return the file's own keys as overrides, which the command line's come after."""
        choices = self.section("base", list)
        for i, choice in enumerate(choices):
            if not isinstance(choice, str) or "=" not in choice:
                raise self.fail(
                    ("base", str(i)), f"expected overrides such as model=dango_gi, got {choice!r}"
                )
        own = [f"name={hydra_value(self.document.get('name', self.path.stem))}"]
        for section in _SECTIONS:
            for key, value in flatten(self.section(section, dict)).items():
                own.append(f"{section}.{key}={hydra_value(value)}")
        return [*choices, *own]

    def fail(self, place: tuple[str, ...], message: str) -> ConfigError:
        line = self.lines.get(place)
        where = f"{self.path}, line {line}" if line else str(self.path)
        end = "" if message.endswith(("?", ".")) else "."
        return ConfigError(f"{where}: {message}{end}")

    def fail_in(self, section: str) -> Any:
        def fail(key: str, message: str) -> ConfigError:
            place = (section, key) if key else (section,)
            prefix = f"{key}: " if key and not message.startswith(("unknown", key, "'")) else ""
            return self.fail(place, f"{prefix}{message}")

        return fail


def hydra_value(value: Any) -> str:
    """Return a plain value in Hydra's override syntax."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, list):
        return f"[{','.join(map(hydra_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{k}:{hydra_value(v)}' for k, v in value.items())}}}"
    return json.dumps(value)


def _check_combinations(plan: SweepPlan, file: _File) -> None:
    """Build configurations that cover every pair of values; the typed configuration knows the limits."""
    for assignment in covering_assignments(plan.space):
        try:
            plan.configure(assignment)
        except ConfigError as error:
            raise _locate(str(error), assignment, file) from None


def _locate(message: str, assignment: Assignment, file: _File) -> ConfigError:
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
    file: _File, plan: SweepPlan, pinned: Mapping[str, Any]
) -> tuple[tuple[Assignment, ...], list[str]]:
    base = flatten(to_plain(plan.config.experiment))
    baselines, notes = [], []
    for i, values in enumerate(file.section("baselines", list)):
        place = ("baselines", str(i))
        if not isinstance(values, Mapping):
            raise file.fail(place, f"baseline {i + 1}: expected a mapping of keys to values, got {values!r}")
        values = flatten({str(key): value for key, value in values.items()})
        conflicts = [k for k, v in values.items() if k in pinned and pinned[k] != v]
        left_out = [k for k in values if k in file.document["space"] and k not in _paths(plan.space)]
        if conflicts:
            notes.append(f"baseline {i + 1} is left out: it needs another {', '.join(conflicts)}")
            continue
        values = {k: v for k, v in values.items() if k not in left_out}
        problem = plan.space.check_assignment(values)
        if problem:
            raise file.fail(place, f"baseline {i + 1}: {problem}")
        baselines.append(_complete(plan.space, values, base))
        try:
            plan.configure(baselines[-1])
        except ConfigError as error:
            raise file.fail(place, f"baseline {i + 1}: {error}") from None
    return tuple(baselines), notes


def _paths(space: SearchSpace) -> set[str]:
    return {p.path for p in space.parameters}


def _complete(space: SearchSpace, values: Assignment, base: Mapping[str, Any]) -> Assignment:
    """Fill what a baseline leaves open with the configuration's own values where the space has them."""
    complete: Assignment = {}
    for parameter in space.parameters:
        if not space.is_active(parameter, complete):
            continue
        if parameter.path in values:
            complete[parameter.path] = values[parameter.path]
        elif base[parameter.path] in parameter.domain:
            complete[parameter.path] = base[parameter.path]
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
