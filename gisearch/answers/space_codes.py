"""A search space as numbers, conditional parameters included: to learn from, and to draw from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.search.domains import Choice, same
from gisearch.search.space import Parameter, SearchSpace

# Places at which a range of many values is looked at.
_GRID = 16

Floats = npt.NDArray[np.float64]


class SpaceCodes:
    """The space as numbers: per configuration and parameter one code, NaN where it does not exist.

    A choice's code is the index of its value, a number's is its value.

    Attributes:
        space: the space.
        sizes: per parameter the number of places to look at: all values of a choice and of a short range.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.index = {parameter.path: i for i, parameter in enumerate(space.parameters)}
        self.sizes = [_size(parameter) for parameter in space.parameters]

    def codes(self, assignments: Sequence[Mapping[str, Any]]) -> Floats:
        """Return the codes of trials, [n, parameters]."""
        codes = np.full((len(assignments), len(self.index)), np.nan)
        for row, assignment in enumerate(assignments):
            for path, value in assignment.items():
                if path in self.index:
                    i = self.index[path]
                    codes[row, i] = _code(self.space.parameters[i], value)
        return codes

    def draw(self, uniforms: Floats, fixed: Mapping[int, float] | None = None) -> Floats:
        """Return the codes of configurations drawn from the space, [n, parameters].

        Args:
            uniforms: in [0, 1), [n, parameters]; equal numbers give equal values where they exist. Of a long
                range, the middle of the part in which the number lies is taken.
            fixed: parameters that stand at one place of their range in all configurations.
        """
        codes = np.full(uniforms.shape, np.nan)
        for i, parameter in enumerate(self.space.parameters):
            at = np.full(len(uniforms), fixed[i]) if fixed and i in fixed else uniforms[:, i]
            # What is averaged over and what is looked at must be the same places.
            at = (np.floor(at * self.sizes[i]) + 0.5) / self.sizes[i]
            exists = np.ones(len(uniforms), dtype=bool)
            for path, allowed in parameter.when.items():
                exists &= self._holds(path, allowed, codes)
            codes[exists, i] = _place(parameter, at)[exists]
        return codes

    def _holds(self, path: str, allowed: Sequence[Any], codes: Floats) -> Any:
        if path not in self.index:
            return any(same(self.space.fixed[path], option) for option in allowed)
        i = self.index[path]
        wanted = [_code(self.space.parameters[i], option) for option in allowed]
        return np.isin(codes[:, i], [code for code in wanted if not np.isnan(code)])

    def encode(self, codes: Floats) -> Floats:
        """Return what the forest reads: a column per value of a choice, a scaled one per number.

        Where a parameter does not exist, a choice has none of its values, and a number stands far below
        its range, where one split tells it from every value.
        """
        columns = []
        for i, parameter in enumerate(self.space.parameters):
            code = codes[:, i]
            if isinstance(parameter.domain, Choice):
                columns += [(code == k).astype(float) for k in range(len(parameter.domain.values))]
            else:
                low, high = parameter.domain.low, parameter.domain.high
                if parameter.domain.log:
                    scaled = np.log(code / low) / np.log(high / low)
                else:
                    scaled = (code - low) / (high - low)
                columns.append(np.where(np.isnan(code), -1.0, scaled))
        return np.stack(columns, axis=1)


def _size(parameter: Parameter) -> int:
    values = parameter.domain.all_values
    few = values is not None and (isinstance(parameter.domain, Choice) or len(values) <= _GRID)
    return len(values) if few and values is not None else _GRID


def _place(parameter: Parameter, at: Floats) -> Floats:
    """Return the codes at places in [0, 1) of a parameter's range, every value equally wide."""
    domain = parameter.domain
    values = domain.all_values
    if isinstance(domain, Choice):
        return np.asarray(np.floor(at * len(domain.values)), float)
    if values is not None and not domain.log:
        every = np.asarray(values, float)
        return np.asarray(every[np.floor(at * len(values)).astype(int)], float)
    if domain.log:
        spread = np.asarray(domain.low * (domain.high / domain.low) ** at, float)
        return np.asarray(np.rint(spread), float) if domain.integer else spread
    return np.asarray(domain.low + (domain.high - domain.low) * at, float)


def _code(parameter: Parameter, value: Any) -> float:
    """Return a value's code; NaN where the space no longer has the value."""
    if isinstance(parameter.domain, Choice):
        found = [k for k, option in enumerate(parameter.domain.values) if same(value, option)]
        return float(found[0]) if found else float("nan")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
