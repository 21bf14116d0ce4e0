from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from gisearch.tracking.attach import attach
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.store import Store


def ended_run(store: Store, folder: Path) -> str:
    tracker = SweepTracker(store, folder)
    tracker.start("sweep", {}, {}, "")
    tracker.finish("finished", {"objective": 0.5}, {})
    return str(tracker.parent_run_id)


def test_adds_to_a_run_that_has_ended(store: Store, tracking: TrackingConfig, tmp_path: Path) -> None:
    run_id = ended_run(store, tmp_path)
    report, facts = tmp_path / "made.html", tmp_path / "facts.yaml"
    report.write_text("<p>first</p>")
    facts.write_text("api_token: abc\n")
    files = {"report.html": report, "answers/facts.yaml": facts}
    tags = {"gisearch.confirmed": "t0003", "password": "secret"}
    assert attach(tracking, run_id, files, metrics={"confirmed/mean": 0.25}, tags=tags) is None
    report.write_text("<p>second</p>")
    assert attach(tracking, run_id, files, metrics={"confirmed/mean": 0.75}) is None
    run = store.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"objective": 0.5, "confirmed/mean": 0.75}
    assert run.data.tags["gisearch.confirmed"] == "t0003"
    assert "secret" not in run.data.tags["password"]
    assert Path(store.client.download_artifacts(run_id, "report.html")).read_text() == "<p>second</p>"
    assert "abc" not in Path(store.client.download_artifacts(run_id, "answers/facts.yaml")).read_text()


def test_says_what_kept_it_from_doing_so(store: Store, tracking: TrackingConfig, tmp_path: Path) -> None:
    missing = attach(tracking, "0" * 32, {})
    assert missing is not None
    assert missing.startswith(f"what was found could not be added to run {'0' * 32} in sqlite:///")
    gone = attach(tracking, ended_run(store, tmp_path), {"report.html": tmp_path / "gone.html"})
    assert gone is not None
    assert gone.startswith("report.html could not be added to run")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    stopped = attach(TrackingConfig(uri=address, timeout=1.0), "0" * 32, {"report.html": tmp_path / "x"})
    assert stopped is not None
    assert stopped.startswith("report.html could not be added to MLflow: tracking.uri: the MLflow server at")


def test_without_tracking_mlflow_is_not_even_imported(tmp_path: Path) -> None:
    script = """
import sys
from gisearch.tracking.attach import attach
from gisearch.tracking.config import TrackingConfig
print(attach(TrackingConfig(enabled=False), "run", {}))
print("mlflow" in sys.modules, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "tracking.enabled is false: nothing was added to MLflow.",
        "False False",
    ]
