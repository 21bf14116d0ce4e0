from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from gisearch.config import build
from gisearch.errors import ConfigError
from gisearch.tracking.config import TrackingConfig, for_mlflow, resolve_uri, sqlite_path, started_in


def test_default_is_an_sqlite_file_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert resolve_uri(TrackingConfig()) == f"sqlite:///{tmp_path}/mlflow.db"


def test_environment_is_used_and_the_configuration_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001")
    assert resolve_uri(TrackingConfig()) == "http://127.0.0.1:5001"
    assert resolve_uri(TrackingConfig(uri="http://127.0.0.1:5002")) == "http://127.0.0.1:5002"


def test_relative_path_becomes_absolute_and_absolute_stays(tmp_path: Path) -> None:
    assert resolve_uri(TrackingConfig(uri="sqlite:///a/b.db"), tmp_path) == f"sqlite:///{tmp_path}/a/b.db"
    absolute = f"sqlite:///{tmp_path}/c.db"
    assert resolve_uri(TrackingConfig(uri=absolute), Path("/elsewhere")) == absolute


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"url": "http://x"}, "unknown key 'url' in tracking. Did you mean 'uri'?"),
        ({"timeout": 0.0}, "tracking.timeout: expected greater than 0, got 0.0."),
        ({"experiment": ""}, "tracking.experiment"),
    ],
)
def test_bad_values_are_explained(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(TrackingConfig, values, "tracking")
    assert message in str(caught.value)


def test_a_folder_with_what_means_something_in_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "who? 50%20 #1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    config = TrackingConfig()
    assert sqlite_path(resolve_uri(config)) == folder / "mlflow.db"
    engine = create_engine(resolve_uri(config))
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (a)"))
        connection.commit()
    engine.dispose()
    assert [path.name for path in tmp_path.rglob("*")] == [folder.name, "mlflow.db"]
    assert for_mlflow(resolve_uri(config)).startswith("sqlite+pysqlite:///")


def test_a_uri_is_a_uri_and_home_is_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sqlite_path("sqlite:///~/m.db") == tmp_path / "m.db"
    assert sqlite_path("sqlite:///a%20b.db?timeout=3") == Path("a b.db")
    assert resolve_uri(TrackingConfig(uri="sqlite:////x/m.db?timeout=3")) == "sqlite:////x/m.db?timeout=3"


def test_the_store_of_a_sweep_that_goes_on_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    here, there = tmp_path / "here", tmp_path / "the?re"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    assert started_in(TrackingConfig(), there) == TrackingConfig()
    (there / "mlflow.db").touch()
    assert sqlite_path(resolve_uri(started_in(TrackingConfig(), there))) == there / "mlflow.db"
    (here / "mlflow.db").touch()
    assert started_in(TrackingConfig(), there) == TrackingConfig()
    server = TrackingConfig(uri="http://127.0.0.1:5000")
    assert started_in(server, there) == server
