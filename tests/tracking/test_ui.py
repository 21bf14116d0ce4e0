from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.ui import ui_command


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a virtual environment in it, nothing on PATH."""
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "mlflow").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_relative_command_for_the_default_store(environment: Path) -> None:
    assert ui_command(TrackingConfig()) == ".venv/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db"


def test_plain_mlflow_where_the_shell_finds_the_right_one(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(environment / ".venv" / "bin"))
    assert shutil.which("mlflow") is not None
    assert ui_command(TrackingConfig()).startswith("mlflow ui ")


def test_another_mlflow_on_path_is_not_trusted(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = environment / "other"
    other.mkdir()
    (other / "mlflow").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other))
    assert ui_command(TrackingConfig()).startswith(".venv/bin/mlflow ui ")


def test_paths_elsewhere_are_absolute_and_quoted(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = environment / "somewhere else"
    there.mkdir()
    config = TrackingConfig(uri=f"sqlite:///{there}/runs.db")
    assert ui_command(config).endswith("--backend-store-uri 'sqlite:///somewhere else/runs.db'")
    monkeypatch.chdir(there)
    config = TrackingConfig(uri=f"sqlite:///{environment}/runs.db")
    assert ui_command(config).endswith(f"--backend-store-uri sqlite:///{environment}/runs.db")


def test_a_server_is_its_own_address_without_credentials(environment: Path) -> None:
    assert ui_command(TrackingConfig(uri="http://u:pa55@host:5000")) == "http://host:5000"
