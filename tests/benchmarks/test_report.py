"""The shared parts of the benchmarks: what a report holds, and whose memory it counts."""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
import pytest

from benchmarks.report import measure, measure_case, median_seconds, parser_of, peak_memory_mb, show

EXAMPLE = {
    "benchmark": "example",
    "machine": {"cores": 2},
    "rows": [
        {"case": "plain", "seconds": 2.0, "ratio": 1.0, "peak_mb": 10, "edges": 7},
        {"case": "clever", "seconds": 0.5, "ratio": 4.0, "peak_mb": 5, "error": 0.001234},
    ],
}


def timed(seconds: float, megabytes: int = 1) -> dict[str, float]:
    block = np.ones(megabytes * 1_000_000, dtype=np.uint8)
    return {"seconds": seconds, "sum": float(block.sum())}


def failing() -> dict[str, float]:
    raise SystemExit(3)


def test_rows_relate_every_case_to_the_first() -> None:
    report = measure("example", {"slow": partial(timed, 3.0), "fast": partial(timed, 0.5)})
    assert list(report) == ["benchmark", "machine", "rows"]
    assert report["benchmark"] == "example"
    assert [(row["case"], row["seconds"], row["ratio"]) for row in report["rows"]] == [
        ("slow", 3.0, 1.0),
        ("fast", 0.5, 6.0),
    ]
    assert report["rows"][0]["sum"] == 1e6


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


def test_the_median_leaves_the_warm_up_and_an_outlier_out() -> None:
    pauses = iter([0.2, 0.01, 0.2, 0.01])
    assert 0.01 <= median_seconds(lambda: time.sleep(next(pauses)), repeats=3) < 0.1


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    show(EXAMPLE, as_json=True)
    assert json.loads(capsys.readouterr().out) == EXAMPLE


def test_the_table_shows_every_row_and_what_a_case_measured_besides(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(EXAMPLE, as_json=False)
    out = capsys.readouterr().out
    for text in ("example", "plain", "clever", "0.5000", "4.0", "0.00123", "edges", "error"):
        assert text in out


def test_every_benchmark_has_the_same_command_line() -> None:
    arguments = parser_of("example", "What it measures.").parse_args(["--json", "--repeats", "3"])
    assert (arguments.json, arguments.repeats, arguments.threads) == (True, 3, 2)
