from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import gisearch
from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.store import Store, open_store


def refused(config: TrackingConfig) -> str:
    with pytest.raises(TrackingError) as caught:
        open_store(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_disabled_tracking_opens_nothing() -> None:
    assert open_store(TrackingConfig(enabled=False, uri="http://127.0.0.1:1")) is None


def test_unreachable_server_is_told_at_once_without_credentials() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.monotonic()
    message = refused(TrackingConfig(uri=f"http://someone:pa55word@127.0.0.1:{port}", timeout=2.0))
    assert time.monotonic() - started < 10
    assert f"the MLflow server at http://127.0.0.1:{port} cannot be used" in message
    assert "connection refused" in message
    assert "start the server" in message
    assert "tracking.enabled=false" in message
    assert "pa55word" not in message


def test_server_that_never_answers_does_not_hang_the_start() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        message = refused(TrackingConfig(uri=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=1.0))
    assert time.monotonic() - started < 10
    assert "no answer in time" in message


def test_another_kind_of_server_is_recognised() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        message = refused(TrackingConfig(uri=f"http://127.0.0.1:{server.server_port}", timeout=3.0))
    finally:
        server.shutdown()
        server.server_close()
    assert "its answer is not an MLflow server's" in message


def test_absent_network_database_does_not_hang_the_start() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.monotonic()
    message = refused(TrackingConfig(uri=f"postgresql://u:pa55@127.0.0.1:{port}/mlflow", timeout=1.0))
    assert time.monotonic() - started < 10
    assert "the MLflow store postgresql://127.0.0.1" in message
    assert "pa55" not in message


def test_sqlite_file_in_a_missing_folder(tmp_path: Path) -> None:
    message = refused(TrackingConfig(uri=f"sqlite:///{tmp_path}/absent/mlflow.db"))
    assert "its folder does not exist" in message


def test_sqlite_path_that_is_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refused(TrackingConfig(uri=f"sqlite:///{tmp_path}"))


def test_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my precious notes, longer than a header\n")
    assert "is not an SQLite database" in refused(TrackingConfig(uri=f"sqlite:///{path}"))
    assert path.read_text() == "my precious notes, longer than a header\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        message = refused(TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db"))
    finally:
        tmp_path.chmod(0o700)
    assert "cannot be written (Permission denied)" in message


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
def test_folder_that_nobody_can_write() -> None:
    assert "cannot be written" in refused(TrackingConfig(uri="sqlite:////proc/self/mlflow.db"))


def test_folder_store_is_refused_with_advice(tmp_path: Path) -> None:
    assert "use an SQLite file" in refused(TrackingConfig(uri=str(tmp_path)))


def test_deleted_experiment_is_named(tracking: TrackingConfig, store: Store) -> None:
    store.client.delete_experiment(store.experiment_id)
    message = refused(tracking)
    assert "tracking.experiment: 'test' was deleted" in message
    assert "mlflow experiments restore" in message


def test_experiment_is_made_for_model_training_and_reused(tracking: TrackingConfig, store: Store) -> None:
    experiment = store.client.get_experiment(store.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "sweep" in experiment.tags["mlflow.note.content"]
    again = open_store(tracking)
    assert again is not None
    assert again.experiment_id == store.experiment_id


def test_opening_a_new_store_is_quiet_and_leaves_artifacts_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    code = (
        "from gisearch.tracking.config import TrackingConfig\n"
        "from gisearch.tracking.store import open_store\n"
        "import os, sys\n"
        "store = open_store(TrackingConfig())\n"
        "run = store.client.create_run(store.experiment_id)\n"
        "store.client.log_text(run.info.run_id, 'hello', 'hello.txt')\n"
        "print(os.environ['MLFLOW_DISABLE_TELEMETRY'], 'ray' in sys.modules, 'torch' in sys.modules)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment["PYTHONPATH"] = str(Path(gisearch.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout == "true False False\n"
    assert (folder / "mlflow.db").is_file()
    found = list((folder / "mlartifacts" / "gisearch").rglob("hello.txt"))
    assert [path.read_text() for path in found] == ["hello"]


def test_a_folder_whose_name_is_encoded_in_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "who? 50%20"
    folder.mkdir()
    monkeypatch.chdir(folder)
    store = open_store(TrackingConfig())
    assert store is not None
    run = store.client.create_run(store.experiment_id)
    Path("f.txt").write_text("here")
    store.client.log_artifact(run.info.run_id, "f.txt")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert {path.name for path in folder.iterdir()} == {"f.txt", "mlartifacts", "mlflow.db"}
