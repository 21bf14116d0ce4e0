"""The search space: parameters, and the conditions under which each exists.

Ray has no declarative conditional spaces; this one is compiled once and then drives Optuna's
define-by-run interface, enumerates itself when it is finite, and checks itself against the typed
configuration before anything starts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias

from gisearch.errors import ConfigError, nearest_name
from gisearch.search.domains import Choice, Domain, parse_domain, same

Assignment: TypeAlias = dict[str, Any]
Fail: TypeAlias = Callable[[str, str], ConfigError]


@dataclass(frozen=True)
class Parameter:
    """One dimension of the search.

    Attributes:
        path: the key in the configuration, dotted.
        domain: the values it can take.
        when: the values that other keys must have for this one to exist.
    """

    path: str
    domain: Domain
    when: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class SearchSpace:
    """Parameters in an order in which conditions come before what depends on them.

    Attributes:
        parameters: the dimensions.
        fixed: values of condition keys that the search does not vary.
    """

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any]

    def __getitem__(self, path: str) -> Parameter:
        return next(p for p in self.parameters if p.path == path)

    def is_active(self, parameter: Parameter, assignment: Mapping[str, Any]) -> bool:
        """Whether the parameter exists, given the values of those before it."""
        searched = {p.path for p in self.parameters}
        for path, allowed in parameter.when.items():
            if path in searched:
                if path not in assignment:
                    return False
                value = assignment[path]
            else:
                value = self.fixed[path]
            if not any(same(value, option) for option in allowed):
                return False
        return True

    def sample(self, suggest: Callable[[Parameter], Any]) -> Assignment:
        """Return values of the active parameters, asking ``suggest`` for each in order."""
        assignment: Assignment = {}
        for parameter in self.parameters:
            if self.is_active(parameter, assignment):
                assignment[parameter.path] = suggest(parameter)
        return assignment

    def enumerate(self) -> Iterator[Assignment]:
        """Yield every distinct configuration.

        Raises:
            ConfigError: a parameter has infinitely many values.
        """

        def values(parameter: Parameter) -> Sequence[Any]:
            listed = parameter.domain.all_values
            if listed is None:
                raise ConfigError(
                    f"search.exhaustive: {parameter.path} has infinitely many values; give it a step, "
                    "list its values, or leave search.exhaustive off."
                )
            return listed

        return _expand(self, values)

    def size(self, limit: int = 1_000_000) -> int | None:
        """Return the number of distinct configurations, or None for infinitely many or over ``limit``."""
        if any(p.domain.all_values is None for p in self.parameters):
            return None
        count = 0
        for _ in self.enumerate():
            count += 1
            if count > limit:
                return None
        return count

    def check_assignment(self, values: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the given values, or None if they lie in the space.

        Parameters that are left out are free.
        """
        paths = [p.path for p in self.parameters]
        for path in values:
            if path not in paths:
                return f"{path!r} is not in the space.{nearest_name(path, paths)}".removesuffix(".")
        known = dict(values)
        for parameter in self.parameters:
            if parameter.path not in values:
                continue
            value = values[parameter.path]
            if value not in parameter.domain:
                return f"{parameter.path}: {json.dumps(value)} is outside the space ({parameter.domain})"
            for path, allowed in parameter.when.items():
                current = known.get(path, self.fixed.get(path, _UNKNOWN))
                if current is not _UNKNOWN and not any(same(current, option) for option in allowed):
                    return f"{parameter.path} does not exist where {path} is {json.dumps(current)}"
        return None


_UNKNOWN = object()


def canonical(assignment: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal configurations, whatever the order of their keys."""
    return json.dumps({k: assignment[k] for k in sorted(assignment)}, sort_keys=True)


def compile_space(
    spec: Mapping[str, Any],
    base: Mapping[str, Any],
    fail: Fail,
    pinned: Mapping[str, Any] | None = None,
) -> tuple[SearchSpace, list[str]]:
    """Compile the ``space`` section of a file.

    Args:
        spec: dotted path to domain, as in the file.
        base: the flattened configuration that the search varies: every valid path and its value.
        fail: makes an error from a path and a message; it knows file and line.
        pinned: paths that the command line fixed; they leave the space, with what depends on other values.

    Returns:
        The space, and a note for every parameter that ``pinned`` took out.

    Raises:
        ConfigError: an unknown path, an impossible domain, or a condition that can never hold.
    """
    pinned = pinned or {}
    parsed = {path: _parse_parameter(path, value, base, fail) for path, value in spec.items()}
    notes = [
        f"{path} is fixed to {json.dumps(pinned[path])} by the command line"
        for path in parsed
        if path in pinned
    ]
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


def _options(values: tuple[Any, ...]) -> str:
    return " or ".join(json.dumps(value) for value in values)


def _in_order(parsed: Mapping[str, Parameter], fail: Fail) -> list[str]:
    graph = {path: [key for key in p.when if key in parsed] for path, p in parsed.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        cycle = error.args[1]
        raise fail(cycle[0], f"the conditions form a circle: {' -> '.join(cycle)}") from None


def covering_assignments(space: SearchSpace, seed: int = 0) -> Iterator[Assignment]:
    """Yield configurations in which every value meets every other value that it can meet.

    A limit that one value breaks, or two values together (heads and a width that they do not divide),
    shows in at least one of them; a finite space of up to a thousand configurations is yielded whole.
    """
    from random import Random

    values = _representatives(space)
    if math.prod(map(len, values.values())) <= 1000:
        yield from _expand(space, lambda parameter: values[parameter.path])
        return
    random = Random(seed)
    pairs = [
        ((a.path, i), (b.path, j))
        for n, a in enumerate(space.parameters)
        for b in space.parameters[n + 1 :]
        for i in range(len(values[a.path]))
        for j in range(len(values[b.path]))
    ]
    covered: set[tuple[tuple[str, int], tuple[str, int]]] = set()
    for pair in pairs:
        if pair in covered:
            continue
        forced = _completion(space, values, dict(pair))
        if forced is None:
            continue
        indices = {path: random.randrange(len(options)) for path, options in values.items()} | forced
        assignment = space.sample(lambda p, chosen=indices: values[p.path][chosen[p.path]])  # type: ignore[misc]
        yield assignment
        chosen = [(path, indices[path]) for path in assignment]
        covered.update((a, b) for n, a in enumerate(chosen) for b in chosen[n + 1 :])


def _representatives(space: SearchSpace) -> dict[str, tuple[Any, ...]]:
    """Return the values to try of every parameter: its domain's, and those that conditions name."""
    values = {p.path: list(p.domain.representatives) for p in space.parameters}
    for parameter in space.parameters:
        for key, allowed in parameter.when.items():
            if key in values:
                domain = space[key].domain
                known = values[key]
                known += [v for v in allowed if v in domain and not any(same(v, other) for other in known)]
    return {path: tuple(options) for path, options in values.items()}


def _completion(
    space: SearchSpace, values: Mapping[str, Sequence[Any]], forced: Mapping[str, int]
) -> dict[str, int] | None:
    """Add values that make the forced parameters exist together; None where nothing does."""
    needed, pending = set(forced), list(forced)
    while pending:
        above = {key for key in space[pending.pop()].when if key in values} - needed
        needed |= above
        pending += above
    chain = [p for p in space.parameters if p.path in needed]

    def extend(n: int, indices: dict[str, int]) -> dict[str, int] | None:
        if n == len(chain):
            return indices
        path = chain[n].path
        if not space.is_active(chain[n], {key: values[key][i] for key, i in indices.items()}):
            return None
        options = [forced[path]] if path in forced else range(len(values[path]))
        tried = (extend(n + 1, {**indices, path: i}) for i in options)
        return next((found for found in tried if found is not None), None)

    return extend(0, {})


def _expand(
    space: SearchSpace,
    values: Callable[[Parameter], Sequence[Any]],
    assignment: Assignment | None = None,
    index: int = 0,
) -> Iterator[Assignment]:
    """Yield every configuration whose parameters take the given values, where they exist."""
    assignment = assignment or {}
    if index == len(space.parameters):
        yield assignment
        return
    parameter = space.parameters[index]
    if not space.is_active(parameter, assignment):
        yield from _expand(space, values, assignment, index + 1)
        return
    for value in values(parameter):
        yield from _expand(space, values, {**assignment, parameter.path: value}, index + 1)
