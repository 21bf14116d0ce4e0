"""Clocks and memory of the benchmarks."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest

from benchmarks.timing import measure_case, peak_memory_mb, spread_of, timing


def timed(seconds: float, megabytes: int = 1) -> dict[str, float]:
    block = np.ones(megabytes * 1_000_000, dtype=np.uint8)
    return {"seconds": seconds, "sum": float(block.sum())}


def failing() -> dict[str, float]:
    raise SystemExit(3)


def test_peak_memory_is_that_of_the_case_alone() -> None:
    held = np.ones(300_000_000, dtype=np.uint8)
    small, large = (measure_case(partial(timed, 1.0, size))["peak_mb"] for size in (1, 100))
    assert held[-1] == 1
    assert peak_memory_mb() > 300
    assert 80 < large - small < 150
    assert small < 300, "what this process holds is not in it"


def test_a_case_that_dies_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"ended with exit code 3"):
        measure_case(failing)


def test_warm_up_and_outliers_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr(time, "perf_counter", lambda: clock["now"])
    pauses = iter([9.0, 1.0, 7.0, 1.0, 1.0, 1.25])

    def step() -> None:
        clock["now"] += next(pauses)

    measured = timing(step, repeats=5)
    assert measured["seconds"] == 1.0
    assert measured["spread"] == pytest.approx(0.125)
    assert measured["processor_seconds"] < 0.1
    assert next(pauses, None) is None


def test_the_spread_is_half_of_what_lies_between_the_quartiles() -> None:
    assert spread_of([1.0, 2.0]) is None
    assert spread_of([2.0, 2.0, 2.0]) == 0.0
    assert spread_of([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(1 / 3)
