"""The report that all benchmarks share: what it holds, how it is shown, what it is asked for."""

from __future__ import annotations

import json
from functools import partial

import pytest

from benchmarks.report import (
    Options,
    Report,
    Row,
    SkippedError,
    finish,
    machine_of,
    measure,
    options_of,
    parser_of,
    show,
)

PLAIN = Row("plain", 2.0, 1.0, "plain", 10, spread=0.02, processor_seconds=3.5)
CLEVER = Row("clever", 0.5, 4.0, "plain", 5, facts={"error": 0.001234, "edges": 7})
EXAMPLE = Report("example", {"cores": 2}, {"genes": 6607}, (PLAIN, CLEVER), {"delivered": 60})


def timed(seconds: float, **facts: float) -> dict[str, float]:
    return {"seconds": seconds, "spread": 0.1, **facts}


def test_rows_relate_each_case_to_its_reference() -> None:
    cases = {
        "slow": partial(timed, 3.0),
        "fast": partial(timed, 0.5, edges=7.0),
        "other": partial(timed, 8.0),
        "fast_other": partial(timed, 2.0),
    }
    references = {"other": "other", "fast_other": "other"}
    report = measure("example", cases, Options(threads=1), sizes={"genes": 3}, references=references)
    assert [(row.case, row.ratio, row.reference) for row in report.rows] == [
        ("slow", 1.0, "slow"),
        ("fast", 6.0, "slow"),
        ("other", 1.0, "other"),
        ("fast_other", 4.0, "other"),
    ]
    assert report.rows[1].facts == {"edges": 7.0}
    assert report.rows[1].spread == 0.1
    assert all(row.peak_mb > 5 for row in report.rows)
    assert (report.sizes, report.machine["threads"]) == ({"genes": 3}, 1)


def test_facts_are_added_and_taken_away() -> None:
    changed = EXAMPLE.with_facts(lambda row: {"half": row.seconds / 2}, without=["edges"])
    assert [row.facts for row in changed.rows] == [{"half": 1.0}, {"error": 0.001234, "half": 0.25}]


def test_the_machine_is_described_without_its_name() -> None:
    import platform

    machine = machine_of(Options(threads=3))
    assert machine["cores"] >= 1
    assert machine["threads"] == 3
    assert {"python", "torch", "numpy"} <= set(machine["versions"])
    assert platform.node() not in json.dumps(machine)


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    show(EXAMPLE, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["benchmark", "machine", "sizes", "rows", "facts"]
    assert shown["rows"][1] == {
        "case": "clever",
        "seconds": 0.5,
        "ratio": 4.0,
        "reference": "plain",
        "peak_mb": 5,
        "spread": None,
        "processor_seconds": None,
        "facts": {"error": 0.001234, "edges": 7},
    }


def test_the_table_shows_every_row_and_what_a_case_measured_besides(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(EXAMPLE, as_json=False)
    out = capsys.readouterr().out
    for text in ("example", "plain", "clever", "2%", "3.5", "4", "error 0.00123", "edges 7", "genes 6607"):
        assert text in out
    assert "cores 2" in out
    assert "delivered 60" in out


def test_every_benchmark_has_the_same_command_line() -> None:
    arguments = parser_of("example", "What it measures.").parse_args(["--json", "--repeats", "3"])
    assert arguments.json is True
    assert options_of(arguments) == Options(repeats=3)


def test_a_missing_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = parser_of("example", None).parse_args(["--device", "cuda"])
    with pytest.raises(SkippedError, match="PyTorch finds no GPU here"):
        options_of(arguments)


def test_a_benchmark_that_cannot_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> Report:
        Options(device="cuda").require_cpu("example")
        return EXAMPLE

    assert finish(run, as_json=True) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "skipped: example measures the processor only: run it with --device cpu.\n"
