"""The values that one search dimension can take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from gisearch.errors import ConfigError, nearest_name

Scalar: TypeAlias = str | int | float | bool | None


def same(a: Any, b: Any) -> bool:
    """Whether two configuration values are the same; True is not 1, and 1 is 1.0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return type(a) is type(b) and a == b
    return bool(a == b)


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return any(same(value, option) for option in self.values)

    @property
    def representatives(self) -> tuple[Any, ...]:
        """All values."""
        return self.values

    @property
    def all_values(self) -> tuple[Any, ...] | None:
        """All values."""
        return self.values

    def exact(self, value: Any) -> Any:
        """Return the one of the values that is ``value``, as it is listed."""
        return next(option for option in self.values if same(value, option))

    def __str__(self) -> str:
        return ", ".join(_text(value) for value in self.values)


@dataclass(frozen=True)
class Range:
    """An interval of whole or real numbers, both ends included.

    Attributes:
        low: smallest value.
        high: largest value.
        integer: whole numbers only.
        step: distance between values from ``low`` on; None for every real number.
        log: sample the logarithm evenly.
    """

    low: float
    high: float
    integer: bool
    step: float | None = None
    log: bool = False

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.integer and int(value) != value:
            return False
        if not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9

    @property
    def representatives(self) -> tuple[float, ...]:
        """The two ends, where limits are exceeded if anywhere; all values of a short integer range."""
        values = self.all_values
        if values is None:
            return (self.low, self.high)
        # The last of the steps may lie below the upper end.
        return values if len(values) <= 8 else (values[0], values[-1])

    @property
    def all_values(self) -> tuple[float, ...] | None:
        """Every value, or None where there are infinitely many."""
        if self.step is None:
            return None
        return tuple(self._at(i) for i in range(self._last + 1))

    def exact(self, value: float) -> float:
        """Return the number of the range that is nearest to ``value``; every step has one value, bit by bit.

        In binary 0.1 + 2 * 0.1 is not 0.3, so numbers that are to be compared all come from here.
        """
        value = min(max(value, self.low), self.high)
        if self.step is not None:
            return self._at(min(round((value - self.low) / self.step), self._last))
        return int(value) if self.integer else float(value)

    @property
    def _last(self) -> int:
        """The number of steps from ``low`` to the largest value."""
        assert self.step is not None
        return math.floor((self.high - self.low) / self.step + 1e-9)

    def _at(self, steps: int) -> float:
        # In decimals, as they were written.
        value = Decimal(str(self.low)) + steps * Decimal(str(self.step))
        return int(value) if self.integer else float(value)

    def __str__(self) -> str:
        kind = "whole numbers" if self.integer else "numbers"
        step = f" in steps of {self.step:g}" if self.step and not (self.integer and self.step == 1) else ""
        return f"{kind} {self.low:g} to {self.high:g}{step}{' (log)' if self.log else ''}"


Domain: TypeAlias = Choice | Range


def parse_domain(spec: Any, fail: Callable[[str], ConfigError]) -> Domain:
    """Parse a list of values, ``{choice: [...]}``, ``{int: [low, high]}`` or ``{float: [low, high]}``.

    Args:
        spec: the value in the file, without ``when``.
        fail: makes the error that says where.

    Raises:
        ConfigError: whatever is wrong, as ``fail`` makes it.
    """
    if isinstance(spec, list):
        spec = {"choice": spec}
    if not isinstance(spec, Mapping):
        raise fail(f"expected a list of values, or a mapping with choice, int or float; got {_text(spec)}")
    kinds = [key for key in ("choice", "int", "float") if key in spec]
    if len(kinds) != 1:
        found = ", ".join(map(str, spec)) or "nothing"
        hint = next((h for key in spec if (h := nearest_name(str(key), ("choice", "int", "float")))), "")
        raise fail(f"expected exactly one of choice, int and float; got {found}.{hint}".removesuffix("."))
    kind = kinds[0]
    allowed = {kind} if kind == "choice" else {kind, "log", "step"}
    for key in spec:
        if key not in allowed:
            raise fail(
                f"unknown key {key!r}; expected {', '.join(sorted(allowed | {'when'}))}."
                f"{nearest_name(str(key), allowed | {'when'})}".removesuffix(".")
            )
    if kind == "choice":
        return _parse_choice(spec["choice"], fail)
    return _parse_range(spec, kind, fail)


def _parse_choice(values: Any, fail: Callable[[str], ConfigError]) -> Choice:
    if not isinstance(values, list) or not values:
        raise fail(f"expected a list of at least one value; got {_text(values)}")
    for i, value in enumerate(values):
        if isinstance(value, Mapping):
            raise fail(f"a choice must be a plain value or a list; got {_text(value)}")
        if any(same(value, other) for other in values[:i]):
            raise fail(f"the value {_text(value)} is given twice")
    return Choice(tuple(values))


def _parse_range(spec: Mapping[str, Any], kind: str, fail: Callable[[str], ConfigError]) -> Range:
    bounds, integer = spec[kind], kind == "int"
    what = "two whole numbers" if integer else "two numbers"
    numbers = (int,) if integer else (int, float)
    if (
        not isinstance(bounds, list)
        or len(bounds) != 2
        or any(isinstance(b, bool) or not isinstance(b, numbers) for b in bounds)
    ):
        raise fail(f"expected {what} [low, high]; got {_text(bounds)}")
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise fail(f"impossible range: low {low:g} must be below high {high:g}")
    log, step = spec.get("log", False), spec.get("step")
    if not isinstance(log, bool):
        raise fail(f"log: expected true or false; got {_text(log)}")
    if log and low <= 0:
        raise fail(f"a log range must start above 0; got {low:g}")
    if step is not None:
        if isinstance(step, bool) or not isinstance(step, numbers) or step <= 0:
            raise fail(f"step: expected a number above 0; got {_text(step)}")
        if log:
            raise fail("step and log cannot be combined")
        if step > high - low:
            raise fail(f"step {step:g} exceeds the range {low:g} to {high:g}")
    if integer and step is None:
        step = 1
    return Range(low=low, high=high, integer=integer, step=step, log=log)


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
