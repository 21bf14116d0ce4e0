from __future__ import annotations

from pathlib import Path

import pytest

from gisearch.config import build
from gisearch.errors import ConfigError
from gisearch.tracking.config import TrackingConfig, resolve_uri


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
