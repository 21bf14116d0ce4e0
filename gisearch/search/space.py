"""The search space: parameters, and the conditions under which each exists.

Ray has no declarative conditional spaces; this one is compiled once (``compilation.py``) and then drives
Optuna's define-by-run interface, enumerates itself when it is finite, and is checked against the typed
configuration before anything starts (``covering.py``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from gisearch.errors import ConfigError, nearest_name
from gisearch.search.domains import Choice, Domain, same

Assignment: TypeAlias = dict[str, Any]


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

    def given(self, path: str, value: Any) -> SearchSpace:
        """Return the part of the space in which the parameter at ``path`` has one of its values."""
        kept: dict[str, Parameter] = {}
        searched = {p.path for p in self.parameters}
        for parameter in self.parameters:
            parents = {key: allowed for key, allowed in parameter.when.items() if key in searched}
            if any(key not in kept for key in parents) or not any(
                same(value, option) for option in parents.get(path, (value,))
            ):
                continue
            if parameter.path == path:
                parameter = replace(parameter, domain=Choice((value,)))
            kept[parameter.path] = parameter
        return SearchSpace(tuple(kept.values()), self.fixed)

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

        return expand(self, values)

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
        known |= {p.path: p.domain.exact(values[p.path]) for p in self.parameters if self._takes(p, values)}
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

    @staticmethod
    def _takes(parameter: Parameter, values: Mapping[str, Any]) -> bool:
        return parameter.path in values and values[parameter.path] in parameter.domain


_UNKNOWN = object()


def canonical(assignment: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal configurations, whatever the order of their keys."""
    return json.dumps({k: assignment[k] for k in sorted(assignment)}, sort_keys=True)


def expand(
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
        yield from expand(space, values, assignment, index + 1)
        return
    for value in values(parameter):
        yield from expand(space, values, {**assignment, parameter.path: value}, index + 1)
