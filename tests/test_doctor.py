"""``gisearch doctor``: one line each, a verdict, and an exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gisearch.command_line import run
from gisearch.doctor import main

NAMES = "python packages scatter cpu memory temporary home locale proxy results tracking gpu trials data ray"
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_a_machine_that_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, []) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert all(re.match(r"(OK     |NOTE   |PROBLEM)  \w+ +\S", line) for line in lines[:-1]), out
    assert [line.split()[1] for line in lines[:-1]] == NAMES.split()
    assert re.fullmatch(r"A sweep can run here( \(\d+ notes?\))?\.", lines[-1])
    assert err == ""
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").write_text("")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path / ("x" * 70))}
    done = subprocess.run(
        [sys.executable, "-m", "gisearch.doctor", "tracking.uri=mlruns", "search.cpus_per_worker=9999"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    problems = {line.split()[1]: line for line in lines if line.startswith("PROBLEM")}
    assert list(problems) == ["temporary", "results", "tracking", "trials", "ray"]
    assert "set RAY_TMPDIR to a folder of at most" in problems["temporary"]
    assert problems["results"].endswith("results.dir: cannot write to results: Not a directory.")
    assert lines[-1] == "A sweep cannot run here yet: see temporary, results, tracking, trials, ray."
    assert (done.returncode, done.stderr) == (1, "")


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:10001")
    assert run(main, ["--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["can_run"] is False
    assert found["verdict"] == "A sweep cannot run here yet: see ray."
    checks = {check["check"]: check for check in found["checks"]}
    assert list(checks) == NAMES.split()
    assert checks["ray"]["state"] == "PROBLEM"
    assert checks["ray"]["text"].startswith("RAY_ADDRESS=ray://127.0.0.1:10001: expected the address of")


def test_a_wrong_key_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["serch.trials=3"]) == 2
    assert capsys.readouterr().err.endswith("Did you mean 'search'?\n")


def test_without_the_libraries(tmp_path: Path) -> None:
    """In an environment where nothing is installed, what is missing is said."""
    code = """
import sys
import packaging.requirements, packaging.specifiers
sys.path[:] = [p for p in sys.path if "site-packages" not in p]
from gisearch.command_line import run
from gisearch.doctor import main
sys.exit(run(main, []))
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert lines[1].startswith("PROBLEM  packages   cobra is not installed, ")
    assert lines[2:] == ["A sweep cannot run here yet: see packages."]
