"""``gisearch ui``: a server on the sweep's store, and the page that shows its trials."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gisearch.command_line import run
from gisearch.config import to_plain
from gisearch.search.folders import read_runs, write_facts, write_runs
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.records import TrialEnd, TrialStart
from gisearch.tracking.store import open_store
from gisearch.ui import main

# Trial 1 is the best; the order of the numbers is neither that of the starts nor that of the values.
OBJECTIVES = {0: 0.41, 1: 0.73, 2: 0.55}
SEARCHED = {"model.encoder.graph_aggregation": "cross_attention", "optimizer.lr": 0.00123}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, in nobody's environment."""
    for name in ("MLFLOW_TRACKING_URI", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def a_sweep(name: str, tracking: TrackingConfig, parent: str | None = "0123456789abcdef") -> Path:
    """Make the folder of a finished sweep."""
    folder = Path("results") / name
    folder.mkdir(parents=True)
    write_facts(folder, {"tracking": to_plain(tracking)})
    write_runs(folder, parent, {})
    return folder


def recorded(name: str, database: Path) -> Path:
    """Make a sweep with three trials in an SQLite store below the working directory."""
    shutil.copy(database, "mlflow.db")
    config = TrackingConfig()
    folder = a_sweep(name, config)
    store = open_store(config)
    assert store is not None
    tracker = SweepTracker(store, folder)
    tracker.start(name, {}, {}, "Which is best?", searched=list(SEARCHED))
    for number, value in OBJECTIVES.items():
        params = {**SEARCHED, "model.rank": number}
        tracker.start_trial(TrialStart(number, f"t{number:04d}", params, "a: 1\n"))
        tracker.end_trial(TrialEnd(number, "finished", None, {"objective": value, "seconds": 1.5}))
    assert tracker.finish("finished", {"objective": 0.73}, {}).message == ""
    write_runs(folder, tracker.parent_run_id, tracker.run_ids)
    return folder


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "no sweep in results/; expected a sweep's name or folder."),
        (["widths"], "no results called 'widths' in results/ (it has: none)."),
    ],
)
def test_without_a_sweep_there_is_nothing_to_show(
    work: Path, arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(main, arguments) == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_what_was_not_tracked_or_is_gone_is_one_sentence(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_sweep("off", TrackingConfig(enabled=False))
    a_sweep("gone", TrackingConfig())
    a_sweep("spooled", TrackingConfig(uri=f"sqlite:///{work}/mlflow.db"), parent=None)
    assert run(main, ["off"]) == 2
    assert "results/off was not tracked (tracking.enabled=false); python" in capsys.readouterr().err
    assert run(main, ["gone"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no mlflow.db here (")
    assert not (work / "mlflow.db").exists()
    (work / "mlflow.db").touch()
    assert run(main, ["spooled"]) == 2
    assert "knows no run of MLflow" in capsys.readouterr().err


def test_a_run_that_the_store_does_not_hold_is_one_sentence(
    work: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(empty_database, "mlflow.db")
    a_sweep("widths", TrackingConfig())
    assert run(main, ["widths"]) == 2
    error = capsys.readouterr().err
    assert "does not hold the run 0123456789abcdef of this sweep" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_page_shows_the_best_configuration_and_its_score_without_a_click(
    work: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    recorded("widths", empty_database)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "SSH_CONNECTION": "10.0.0.7 50022 192.0.2.4 22", "USER": "ada"}
    command = [sys.executable, "-m", "gisearch.ui", "widths", "--port", str(port)]
    shown = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert shown.stdout is not None
        said = [shown.stdout.readline() for _ in range(4)]
        assert said[1] == f"First, on the machine you sit at: ssh -L {port}:127.0.0.1:{port} ada@192.0.2.4\n"
        found = re.fullmatch(r"All trials, best first: (\S+)\n", said[2])
        assert found, said
        with sync_api.sync_playwright() as playwright:
            # A profile without history, on a small screen.
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(60_000)
            page.goto(found[1])
            page.get_by_text("t0001").first.wait_for()
            text = page.inner_text("body")
            # What is seen there, not what lies outside the table's window.
            box = page.get_by_text("cross_attention").first.bounding_box()
            assert box is not None
            centre = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
            visible = page.evaluate("([x, y]) => document.elementFromPoint(x, y)?.innerText ?? ''", centre)
            browser.close()
        assert re.findall(r"^t000\d$", text, re.MULTILINE) == ["t0001", "t0002", "t0000"]
        assert "0.73" in text
        assert "0.00123" in text
        assert "cross_attention" in visible
        # Another sweep on a server: its page is named, and nothing is started.
        parent = read_runs(Path("results/widths"))["parent"]
        a_sweep("served", TrackingConfig(uri=f"http://127.0.0.1:{port}", timeout=20.0), parent)
        assert main([]) == 0
        assert capsys.readouterr().out == said[2]
    finally:
        shown.send_signal(signal.SIGINT)
        assert shown.wait(30) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
