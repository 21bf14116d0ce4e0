"""Comparing a run with a baseline: what is a change, what is noise, what does not compare."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.baseline import compare, save
from benchmarks.report import Report, Row
from gisearch.errors import DataError

MACHINE = {"threads": 2, "device": "cpu", "cores": 2, "load": 0.1, "versions": {"torch": "2"}}


def report(ratio: float, spread: float | None = 0.01, genes: int = 100, name: str = "example") -> Report:
    slow = Row("slow", 4.0, 1.0, "slow", 10, spread=0.01)
    return Report(name, MACHINE, {"genes": genes}, (slow, Row("fast", 4 / ratio, ratio, "slow", 10, spread)))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            20.0,
            "example fast: 2.00 times faster than the baseline (ratio 10 then, 20 now; below 10% is noise)",
        ),
        (5.0, "example fast: 2.00 times slower than the baseline (ratio 10 then, 5 now; below 10% is noise)"),
        (10.8, "example fast: as the baseline (ratio 10 then, 10.8 now; below 10% is noise)"),
        (9.3, "example fast: as the baseline (ratio 10 then, 9.3 now; below 10% is noise)"),
    ],
)
def test_a_change_is_told_from_noise(tmp_path: Path, now: float, said: str) -> None:
    save(tmp_path / "baseline.json", [report(10.0)])
    comparison = compare(tmp_path / "baseline.json", [report(now)])
    assert [str(change) for change in comparison.changes] == [said]
    assert comparison.notes == ()
    assert comparison.plain()["changes"][0]["is_noise"] is ("as the baseline" in said)


@pytest.mark.parametrize(("before", "now"), [(0.2, 0.01), (0.01, 0.2), (None, 0.01), (0.01, None)])
def test_the_spread_of_either_run_makes_a_difference_noise(
    tmp_path: Path, before: float | None, now: float | None
) -> None:
    save(tmp_path / "baseline.json", [report(10.0, before)])
    [change] = compare(tmp_path / "baseline.json", [report(12.0, now)]).changes
    assert change.is_noise
    [change] = compare(tmp_path / "baseline.json", [report(30.0, now)]).changes
    assert not change.is_noise


def test_other_sizes_or_machines_do_not_compare(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    save(path, [report(10.0)])
    elsewhere = dataclasses.replace(report(10.0), machine={**MACHINE, "threads": 1, "cores": 4})
    comparison = compare(path, [report(1.0, genes=7), elsewhere, report(1.0, name="new")])
    assert comparison.changes == ()
    assert comparison.notes == (
        "example: not compared, because of other sizes",
        "example: not compared, because of other threads and cores",
        "new: not in the baseline",
    )


def test_saving_keeps_what_did_not_run_and_holds_ratios_only(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    save(path, [report(10.0, name="other"), report(10.0)])
    save(path, [report(20.0)])
    kept = json.loads(path.read_text())["benchmarks"]
    assert {name: entry["cases"]["fast"]["ratio"] for name, entry in kept.items()} == {
        "example": 20,
        "other": 10,
    }
    assert list(kept["example"]["cases"]) == ["fast"]
    assert "seconds" not in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["baseline.json"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": 9, "benchmarks": {}}'])
def test_what_is_no_baseline_is_an_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "baseline.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"baseline\.json: .*baseline written with --save"):
        compare(path, [])


def test_the_committed_baseline_can_be_read() -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "baseline.json"
    kept = json.loads(path.read_text())["benchmarks"]
    assert compare(path, []).notes == ()
    assert all(case["ratio"] > 0 for entry in kept.values() for case in entry["cases"].values())
