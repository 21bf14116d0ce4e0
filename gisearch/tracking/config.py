"""Where a sweep's runs are recorded."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.files import local_path

URI_VARIABLE = "MLFLOW_TRACKING_URI"
DEFAULT_DATABASE = "mlflow.db"
SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrackingConfig:
    """Tracking with MLflow.

    Attributes:
        enabled: record the sweep at all.
        uri: the MLflow store: an SQLite file (``sqlite:///mlflow.db``), a server (``http://host:5000``)
            or another database that MLflow knows. None takes the environment variable
            ``MLFLOW_TRACKING_URI``, else the file ``mlflow.db`` in the working directory.
        experiment: the MLflow experiment that holds the sweep's runs.
        timeout: seconds to wait for an answer of a tracking server.
        register: put the best model into MLflow's model registry when a sweep ends.
    """

    enabled: bool = True
    uri: Annotated[str, Field(min_length=1)] | None = None
    experiment: Annotated[str, Field(min_length=1, max_length=500)] = "gisearch"
    timeout: Annotated[float, Field(gt=0.0, le=300.0)] = 5.0
    register: bool = True


def resolve_uri(config: TrackingConfig, directory: Path | None = None) -> str:
    """Return the store's URI, with the path of an SQLite file made absolute.

    Args:
        config: the tracking configuration.
        directory: what relative paths refer to; the working directory unless given.
    """
    uri = config.uri or os.environ.get(URI_VARIABLE) or f"{SQLITE}{DEFAULT_DATABASE}"
    path = sqlite_path(uri)
    if path is None:
        return uri
    return sqlite_uri((directory or Path.cwd()) / path) + "".join(uri.partition("?")[1:])


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite URI, ``~`` being the home folder; None for any other kind of store."""
    if not uri.startswith(SQLITE):
        return None
    return local_path(unquote(uri.removeprefix(SQLITE).partition("?")[0]))


def sqlite_uri(path: Path) -> str:
    """Return the URI of an SQLite file, percent-encoded where a URI would mean something else."""
    return SQLITE + str(path).replace("%", "%25").replace("?", "%3F")


def for_mlflow(uri: str) -> str:
    """Return a URI that names the driver where a path is encoded.

    Else MLflow (3.17) makes a folder of the encoded name.
    """
    if not uri.startswith(SQLITE) or "%" not in uri:
        return uri
    return uri.replace("sqlite:", "sqlite+pysqlite:", 1)


def started_in(config: TrackingConfig, folder: Path) -> TrackingConfig:
    """Return the configuration with an SQLite file that is not here, but in another folder, found.

    Args:
        config: the configuration.
        folder: the working directory that its relative path was written for.
    """
    here, there = sqlite_path(resolve_uri(config)), sqlite_path(resolve_uri(config, folder))
    if here is None or there is None or here.exists() or not there.exists():
        return config
    return replace(config, uri=resolve_uri(config, folder))


def is_server(uri: str) -> bool:
    """Return whether ``uri`` is an MLflow server's address."""
    return uri.startswith(("http://", "https://"))
