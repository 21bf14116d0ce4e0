"""One command over all benchmarks: names, JSON, baselines, and why some cannot run."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, COMMANDS, main
from benchmarks.report import Options, Report, Row, SkippedError
from gisearch.command_line import run

ROWS = (Row("slow", 4.0, 1.0, "slow", 10, spread=0.01), Row("fast", 1.0, 4.0, "slow", 10, spread=0.01))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """Replace two benchmarks: one that answers at once, one that cannot run."""
    options: list[Options] = []

    def benchmark(given: Options) -> Report:
        options.append(given)
        return Report("start", {"threads": given.threads}, {}, ROWS)

    def impossible(_: Options) -> Report:
        raise SkippedError("data: nothing to read.")

    monkeypatch.setattr(importlib.import_module("benchmarks.start"), "benchmark", benchmark)
    monkeypatch.setattr(importlib.import_module("benchmarks.data"), "benchmark", impossible)
    return options


def test_every_name_is_a_module_with_a_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [*BENCHMARKS, *COMMANDS]
    for name in (*BENCHMARKS, *COMMANDS):
        module = importlib.import_module(f"benchmarks.{name}")
        assert callable(module.benchmark)
        assert module.__doc__


def test_an_unknown_name_is_one_sentence_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["perturbations"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: unknown benchmark 'perturbations'; expected one of perturbation, ")
    assert error.endswith("Did you mean 'perturbation'?\n")


def test_a_command_with_options_of_its_own_is_asked_for_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["start", "results"]) == 2
    assert capsys.readouterr().err == (
        "error: results has options of its own: give it as the first and only name.\n"
    )


def test_json_holds_the_reports_and_what_was_skipped(
    asked: list[Options], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GISEARCH_YEAST_DATA", "tables")
    assert main(["start", "data", "--json", "--threads", "1"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [report["benchmark"] for report in shown["reports"]] == ["start"]
    assert shown["skipped"] == {"data": "data: nothing to read."}
    assert (asked[0].threads, asked[0].yeast) == (1, Path("tables"))


def test_a_run_is_compared_with_what_was_saved(
    asked: list[Options], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "baseline.json")
    assert main(["start", "--save", path]) == 0
    assert main(["start", "--compare", path]) == 0
    assert "start fast: as the baseline (ratio 4 then, 4 now" in capsys.readouterr().out
    assert main(["start", "--compare", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparison"]["changes"][0]["is_noise"] is True


def test_a_missing_baseline_is_known_before_anything_runs(asked: list[Options], tmp_path: Path) -> None:
    assert run(main, ["start", "--compare", str(tmp_path / "none.json")]) == 2
    assert asked == []


def test_without_torch_scatter_the_benchmark_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import scatter

    monkeypatch.setitem(sys.modules, "torch_scatter", None)
    monkeypatch.setattr(scatter, "find_spec", lambda name: None)
    with pytest.raises(SkippedError, match="torch-scatter is not installed, so there is nothing to compare"):
        scatter.benchmark(Options())
