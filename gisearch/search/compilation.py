"""From the ``space`` section of a file to a checked search space."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias

from gisearch.errors import ConfigError, nearest_name
from gisearch.search.domains import Choice, parse_domain, same
from gisearch.search.space import Parameter, SearchSpace

Fail: TypeAlias = Callable[[str, str], ConfigError]


@dataclass(frozen=True)
class Branches:
    """Configurations with different keys, told apart by the value of one key: the models.

    Attributes:
        key: that key, ``model.name``.
        bases: the flattened configuration by the key's value.
    """

    key: str
    bases: Mapping[str, Mapping[str, Any]]

    def having(self, path: str) -> list[str]:
        """Return the branches that have a path."""
        return [name for name, base in self.bases.items() if path in base]


def compile_space(
    spec: Mapping[str, Any],
    base: Mapping[str, Any],
    fail: Fail,
    pinned: Mapping[str, Any] | None = None,
    branches: Branches | None = None,
) -> tuple[SearchSpace, list[str]]:
    """Compile the ``space`` section of a file.

    Args:
        spec: dotted path to domain, as in the file.
        base: the flattened configuration that the search varies: every valid path and its value.
        fail: makes an error from a path and a message; it knows file and line.
        pinned: paths that the command line fixed; they leave the space, with what depends on other values.
        branches: further configurations that a searched key leads to. A parameter that only some of them
            have exists where that key leads to one of them, without saying so.

    Returns:
        The space, and a note for every parameter that ``pinned`` took out.

    Raises:
        ConfigError: an unknown path, an impossible domain, or a condition that can never hold.
    """
    pinned = pinned or {}
    if branches is not None:
        others = {path: value for other in branches.bases.values() for path, value in other.items()}
        base = {**others, **base}
        # First, so that what a model brings along is decided after the model.
        spec = {branches.key: spec[branches.key], **spec}
    parsed = {path: _parse_parameter(path, value, base, fail) for path, value in spec.items()}
    if branches is not None:
        free = set(parsed) - set(pinned)
        parsed = {path: _within(branches, p, free, pinned, fail) for path, p in parsed.items()}
    notes = [
        f"{path} is fixed to {json.dumps(pinned[path])} by the command line"
        for path in parsed
        if path in pinned
    ]
    parsed = {path: _as_taken(parameter, parsed, fail) for path, parameter in parsed.items()}
    searched = {path: p for path, p in parsed.items() if path not in pinned}
    for parameter in parsed.values():
        _check_conditions(parameter, parsed, base, fail)
    ordered: list[Parameter] = []
    space = SearchSpace((), base)
    for path in _in_order(parsed, fail):
        if path not in searched:
            continue
        parameter = searched[path]
        kept = {p.path for p in ordered}
        for key, allowed in parameter.when.items():
            if key in kept:
                continue
            if key in parsed and key not in pinned:
                notes.append(f"{path} is left out: {key} is left out")
                break
            if not any(same(base[key], option) for option in allowed):
                if key not in parsed and key not in pinned:
                    raise fail(
                        path,
                        f"the condition can never hold: {key} is not searched and is {json.dumps(base[key])}",
                    )
                notes.append(f"{path} is left out: {key} is {json.dumps(base[key])}")
                break
        else:
            ordered.append(parameter)
            space = SearchSpace(tuple(ordered), base)
    if not ordered:
        raise fail("", "the space is empty: expected at least one parameter to search")
    return space, notes


def _parse_parameter(path: str, spec: Any, base: Mapping[str, Any], fail: Fail) -> Parameter:
    if not isinstance(path, str):
        raise fail(str(path), f"expected a dotted path as key; got {path!r}")
    _check_path(path, base, fail, path)
    when: Any = {}
    if isinstance(spec, Mapping):
        when = spec.get("when", {})
        spec = {key: value for key, value in spec.items() if key != "when"}
    if not isinstance(when, Mapping):
        raise fail(path, f"when: expected a mapping of keys to values; got {when!r}")
    conditions = {}
    for key, value in when.items():
        _check_path(str(key), base, fail, path)
        if key == path:
            raise fail(path, "the condition refers to the parameter itself")
        conditions[str(key)] = tuple(value) if isinstance(value, list) else (value,)
    return Parameter(path, parse_domain(spec, lambda message: fail(path, message)), conditions)


def _as_taken(parameter: Parameter, parsed: Mapping[str, Parameter], fail: Fail) -> Parameter:
    """Return the parameter with the values of its conditions as the keys that they are of take them.

    Raises:
        ConfigError: one of them takes any real number, and none of them twice.
    """
    when = {}
    for key, allowed in parameter.when.items():
        domain = parsed[key].domain if key in parsed else None
        if domain is not None and domain.all_values is None:
            raise fail(
                parameter.path,
                f"a condition on {key} would hold for single values of a continuous range ({domain}); "
                "expected a key with listed values, or a range with a step",
            )
        when[key] = tuple(
            domain.exact(option) if domain is not None and option in domain else option for option in allowed
        )
    return replace(parameter, when=when)


def _within(
    branches: Branches, parameter: Parameter, free: set[str], pinned: Mapping[str, Any], fail: Fail
) -> Parameter:
    """Say in the parameter's conditions in which branches it exists, where it does not in all.

    A condition on a key that is not searched holds in some branches and not in others: it becomes a
    condition on the branch.
    """
    path, key = parameter.path, branches.key
    if path == key:
        return parameter
    live = [pinned[key]] if key in pinned else list(branches.bases)
    when = dict(parameter.when)
    given, needed = when.pop(key, None), branches.having(path)
    for name in given or ():
        if name in branches.bases and name not in needed:
            raise fail(path, f"{key} {json.dumps(name)} has no such key; {_options(needed)} has")
    for other, allowed in parameter.when.items():
        if other == key or other in free:
            continue
        fitting = [
            name
            for name in branches.having(other)
            if name not in live or any(same(branches.bases[name][other], option) for option in allowed)
        ]
        # Where it holds in no branch of this search, the message about its value says more.
        if set(fitting) & set(live) or not set(branches.having(other)) & set(live):
            del when[other]
            needed = [name for name in needed if name in fitting]
            if not needed:
                raise fail(path, f"the condition can never hold: no {key} has both it and {other}")
    if given is not None:
        when[key] = given if len(needed) == len(branches.bases) else tuple(v for v in given if v in needed)
    elif len(needed) < len(branches.bases):
        when[key] = tuple(needed)
    return replace(parameter, when=when)


def _check_path(path: str, base: Mapping[str, Any], fail: Fail, owner: str) -> None:
    if path in base:
        return
    if any(known.startswith(f"{path}.") for known in base):
        inside = [known for known in base if known.startswith(f"{path}.")]
        raise fail(owner, f"{path!r} is a section, not a value; expected one of {', '.join(inside[:6])}")
    raise fail(owner, f"unknown parameter path {path!r}.{nearest_name(path, base)}".removesuffix("."))


def _check_conditions(
    parameter: Parameter, parsed: Mapping[str, Parameter], base: Mapping[str, Any], fail: Fail
) -> None:
    """Collect what the parameter needs, directly and through its conditions; contradictions are errors."""
    needed: dict[str, tuple[Any, ...]] = {}
    pending, seen = [parameter], set()
    while pending:
        current = pending.pop()
        if current.path in seen:
            continue
        seen.add(current.path)
        for key, allowed in current.when.items():
            domain = parsed[key].domain if key in parsed else Choice((base[key],))
            possible = tuple(option for option in allowed if option in domain)
            if not possible and key in parsed:
                raise fail(
                    current.path,
                    f"the condition can never hold: {key} is never {_options(allowed)} (it takes {domain})",
                )
            fitting = possible or allowed
            before = needed.get(key, fitting)
            needed[key] = tuple(option for option in fitting if any(same(option, b) for b in before))
            if not needed[key]:
                raise fail(
                    parameter.path,
                    f"contradictory conditions: {key} must be {_options(before)} "
                    f"and also {_options(allowed)}",
                )
            if key in parsed:
                pending.append(parsed[key])


def _options(values: Sequence[Any]) -> str:
    return " or ".join(json.dumps(value) for value in values)


def _in_order(parsed: Mapping[str, Parameter], fail: Fail) -> list[str]:
    graph = {path: [key for key in p.when if key in parsed] for path, p in parsed.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        cycle = error.args[1]
        raise fail(cycle[0], f"the conditions form a circle: {' -> '.join(cycle)}") from None
