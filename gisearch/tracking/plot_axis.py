"""One axis of a parallel-coordinates plot: where each trial's value stands on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gisearch.tracking.records import Scalar

# The part of the height below this is for trials in which the parameter was inactive.
_BOTTOM = 0.12
_LOG_RATIO = 30.0


@dataclass(frozen=True)
class Axis:
    """One parameter's axis.

    Attributes:
        name: the parameter.
        heights: per trial the position, 0.12 to 1, or 0 where the parameter was inactive.
        ticks: position and text.
        jitter: how far lines may be spread so that equal choices do not hide each other.
        log: whether positions follow the logarithm.
    """

    name: str
    heights: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]
    jitter: float = 0.0
    log: bool = False


def build_axis(name: str, values: Sequence[Scalar], active: Sequence[bool]) -> Axis:
    """Return the axis of one parameter.

    Args:
        name: the parameter.
        values: per trial its value; ignored where it was inactive.
        active: per trial whether the parameter had a part in it.
    """
    present = [value for value, on in zip(values, active, strict=True) if on]
    numeric = bool(present) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in present)
    off = () if all(active) else ((0.0, "off"),)
    if numeric:
        numbers = [float(v) for v in present if isinstance(v, int | float)]
        return _numeric(name, numbers, values, active, off)
    choices = sorted({_text(v) for v in present})
    step = (1.0 - _BOTTOM) / max(1, len(choices) - 1)
    at = {choice: _BOTTOM + i * step if len(choices) > 1 else 0.56 for i, choice in enumerate(choices)}
    heights = tuple(at[_text(v)] if on else 0.0 for v, on in zip(values, active, strict=True))
    return Axis(name, heights, (*((h, c) for c, h in at.items()), *off), jitter=0.025)


def _numeric(
    name: str,
    numbers: Sequence[float],
    values: Sequence[Scalar],
    active: Sequence[bool],
    off: tuple[tuple[float, str], ...],
) -> Axis:
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low > _LOG_RATIO
    whole = all(n == int(n) for n in numbers)

    def position(value: float) -> float:
        if high == low:
            return 0.56
        part = np.log(value / low) / np.log(high / low) if log else (value - low) / (high - low)
        return float(_BOTTOM + (1.0 - _BOTTOM) * part)

    if whole and not log and high - low <= 8:
        marks = [float(n) for n in range(int(low), int(high) + 1)]
    elif log:
        decades = [10.0**e for e in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)]
        inside = [d for d in decades if low * 1.3 < d < high / 1.3]
        marks = [low, *inside, high]
    else:
        marks = [float(m) for m in np.linspace(low, high, 5)]
    ticks = [(position(mark), f"{mark:.3g}" if not whole else f"{mark:g}") for mark in dict.fromkeys(marks)]
    heights = tuple(
        position(float(v)) if on and isinstance(v, int | float) else 0.0
        for v, on in zip(values, active, strict=True)
    )
    return Axis(name, heights, (*ticks, *off), jitter=0.02 if whole and high - low <= 8 else 0.0, log=log)


def merged_order(rows: Sequence[Iterable[str]]) -> list[str]:
    """Return all names, each after its predecessor in the row that first holds it.

    Conditional parameters, which the first trials may lack, so come to stand beside their condition.
    """
    order: list[str] = []
    for row in rows:
        at = 0
        for name in row:
            if name not in order:
                order.insert(at, name)
            at = order.index(name) + 1
    return order


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return for every dotted path the shortest tail that no other path shares."""
    short: dict[str, str] = {}
    for name in names:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            tail = ".".join(parts[-length:])
            shared = sum(other == tail or other.endswith(f".{tail}") for other in names)
            if (shared == 1 and tail not in ("enabled", "type", "name")) or length == len(parts):
                short[name] = tail
                break
    return short


def wrapped(name: str, width: int = 14) -> str:
    """Return a parameter's name broken into lines at dots and underscores."""
    lines = [""]
    for part in re.findall(r"[^_./]+[_./]?", name) or [name]:
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def plain(value: Scalar) -> str:
    """Return a parameter's value as figures show it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
