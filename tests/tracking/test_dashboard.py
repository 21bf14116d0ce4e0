"""A sweep's study in optuna-dashboard."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gisearch.search.study import STUDY_FILE, open_study
from gisearch.training.objective import Objective


def ask(url: str, process: subprocess.Popen[bytes], seconds: float = 60.0) -> Any:
    """Return what a server that is starting answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, "the dashboard ended"
            assert time.monotonic() < deadline, "the dashboard did not start in time"
            time.sleep(0.2)


@pytest.mark.slow
def test_the_dashboard_opens_a_sweeps_study(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    study = open_study(tmp_path, "my sweep", Objective("val/pearson", "max"))
    for value in (0.25, 0.75):
        trial = study.ask()
        trial.suggest_float("optimizer.lr", 0.001, 0.1, log=True)
        study.tell(trial, value)
    command = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    assert command is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # As docs/tracking.md has it, on another port.
    arguments = [command, str(tmp_path / STUDY_FILE), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (summary,) = ask(f"http://127.0.0.1:{port}/api/studies", process)["study_summaries"]
        assert summary["study_name"] == "my sweep"
        assert summary["directions"] == ["maximize"]
        detail = ask(f"http://127.0.0.1:{port}/api/studies/{summary['study_id']}", process)
        assert [trial["values"] for trial in detail["trials"]] == [[0.25], [0.75]]
    finally:
        process.kill()
        process.wait(10)
