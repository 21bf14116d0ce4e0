from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gisearch.errors import TrackingError
from gisearch.tracking.ui import HOST, database_of, forwarding, free_port, has_display, served

SSH = {"SSH_CONNECTION": "10.0.0.7 50022 192.0.2.4 22", "USER": "ada"}


def test_a_port_that_is_in_use_is_refused_where_it_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TrackingError, match=rf"^--port {port} is in use on this machine; leave it out"):
            free_port(port)
        assert free_port() != port
    assert free_port(port) == port


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({}, "darwin", True),
        ({**SSH, "DISPLAY": "localhost:10.0"}, "linux", False),
        (SSH, "darwin", False),
    ],
)
def test_a_browser_is_opened_where_the_user_sits(
    environment: dict[str, str], platform: str, there: bool
) -> None:
    assert has_display(environment, platform) is there


def test_over_ssh_the_port_to_forward_is_said() -> None:
    assert forwarding(5000, SSH) == "ssh -L 5000:127.0.0.1:5000 ada@192.0.2.4"
    assert forwarding(5000, {"DISPLAY": ":0"}) is None


def test_the_file_of_a_store_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "work" / "results" / "widths", tmp_path / "elsewhere"
    folder.mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert database_of(folder, "mlflow.db") is None
    (tmp_path / "work" / "mlflow.db").touch()
    assert database_of(folder, "mlflow.db") == tmp_path / "work" / "mlflow.db"
    assert database_of(folder, str(tmp_path / "work" / "mlflow.db")) == tmp_path / "work" / "mlflow.db"
    noted = tmp_path / "noted"
    noted.mkdir()
    (noted / "mlflow.db").touch()
    assert database_of(folder, "mlflow.db", str(noted)) == noted / "mlflow.db"
    (elsewhere / "mlflow.db").touch()
    assert database_of(folder, "mlflow.db", str(noted)) == elsewhere / "mlflow.db"
    assert database_of(folder, "mlflow.db") == elsewhere / "mlflow.db"


@pytest.mark.slow
def test_a_server_that_does_not_start_says_why_without_credentials() -> None:
    uri = "postgresql://ada:pa55word@127.0.0.1:1/runs"
    told = pytest.raises(TrackingError, match=r"^MLflow's server did not start: ")
    with told as error, served(uri, free_port()):
        pass
    assert "pa55word" not in str(error.value)
