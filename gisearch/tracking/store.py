"""The MLflow store: its address, checked before anything starts."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig, for_mlflow, is_server, resolve_uri, sqlite_path
from gisearch.tracking.new_database import alone_with, is_new, made_at_once
from gisearch.tracking.redact import redact_text
from gisearch.tracking.store_check import (
    check_sqlite,
    check_version,
    explain,
    probe_network_database,
    within,
)

T = TypeVar("T")

ARTIFACTS = "mlartifacts"
PARENT_TAG = "mlflow.parentRunId"
TRIAL_TAG = "gisearch.trial"
STATUS_TAG = "gisearch.status"
NOTE_TAG = "mlflow.note.content"

EXPERIMENT_NOTE = """\
**Searches for the best model of yeast gene interactions. A top-level run is one sweep; unfold its trials.**

- Sort by `objective`; `gisearch.status` tells finished trials from those stopped early.
- `val/…` are curves over epochs, `val_best/…` the values at the best epoch.
- Every trial holds its `config.yaml`: `python -m gisearch.train --config config.yaml` trains it again.
"""

# A new database takes MLflow seconds of migrations; on a slow disk, many.
_DATABASE_SECONDS = 120.0


class Store:
    """One experiment in an MLflow store; made by :func:`open_store`.

    Attributes:
        client: the ``MlflowClient``.
        uri: the store's URI, credentials included: never show it.
        experiment_id: the experiment that holds the sweeps.
    """

    def __init__(self, client: Any, uri: str, experiment: str, experiment_id: str) -> None:
        self.client = client
        self.uri = uri
        self.experiment = experiment
        self.experiment_id = experiment_id

    @property
    def address(self) -> str:
        """The URI without credentials, for messages."""
        return redact_text(self.uri)

    def takes_writes(self, run_id: str) -> bool:
        """Return whether the store takes a small write to a run at this moment."""
        try:
            self.client.set_tag(run_id, "gisearch.tracking_retry", time.strftime("%FT%TZ", time.gmtime()))
        except Exception:
            return False
        return True

    def children(self, parent_run_id: str) -> dict[int, Any]:
        """Return the trials' runs below a parent run, by trial number; of duplicates the newest."""
        runs: dict[int, Any] = {}
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                f"tags.`{PARENT_TAG}` = '{parent_run_id}'",
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            for run in page:
                number = run.data.tags.get(TRIAL_TAG, "")
                if number.isdigit():
                    runs[int(number)] = run
            token = page.token
            if not token:
                return runs


def open_store(config: TrackingConfig) -> Store | None:
    """Open the experiment ``config`` names, creating it where needed; None when tracking is off.

    Raises:
        TrackingError: the server does not answer within ``config.timeout``, refuses, or is no MLflow
            server; the SQLite file cannot be written or is no database; the experiment was deleted.
    """
    if not config.enabled:
        return None
    check_address(config)
    uri = resolve_uri(config)
    database = sqlite_path(uri)
    return _asked(config, uri, lambda: _connect(uri, config.experiment, database))


def look_at_store(config: TrackingConfig) -> str:
    """Check a store without writing to it; returns what it is, in words.

    Of a network database only its port is tried: MLflow would make its tables.

    Raises:
        TrackingError: as :func:`open_store`.
    """
    if not config.enabled:
        return "runs are not tracked (tracking.enabled=false)"
    check_address(config)
    uri = resolve_uri(config)
    shown = redact_text(uri)
    database = sqlite_path(uri)
    if database is not None:
        return f"{shown} will be made" if is_new(database) else f"{shown} can be written"
    if not is_server(uri):
        _asked(config, uri, lambda: None)
        return f"{shown} answers" if "://" in uri else shown
    found = _asked(config, uri, lambda: _experiment(uri, config.experiment))
    has = "has" if found is not None else "will be given"
    return f"the server at {shown} answers and {has} the experiment {config.experiment!r}"


def _asked(config: TrackingConfig, uri: str, action: Callable[[], T]) -> T:
    """Ask a store something, within the time that it has for an answer.

    Raises:
        TrackingError: that failed.
    """
    with _short_requests(config.timeout):
        # Now: that takes seconds on a cold disk, which are not the store's.
        quiet_mlflow()
        import mlflow  # noqa: F401

        try:
            probe_network_database(uri, config.timeout)
            limit = 4 * config.timeout if is_server(uri) else _DATABASE_SECONDS
            return within(limit, action)
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(explain(uri, config, error)) from None


def check_address(config: TrackingConfig) -> None:
    """Check what can be told of a store without opening it, and without MLflow.

    Raises:
        TrackingError: the SQLite file cannot be written, is no database, or one of another version of
            MLflow; or the URI is a folder.
    """
    if not config.enabled:
        return
    uri = resolve_uri(config)
    database = sqlite_path(uri)
    if database is not None:
        check_sqlite(database)
        check_version(database)
    elif "://" not in uri and uri != "databricks":
        raise TrackingError(
            f"tracking.uri: {uri!r} is a folder, which MLflow no longer writes well; use an SQLite file "
            f"(sqlite:///mlflow.db) or a server (http://host:port)."
        )


def is_file(config: TrackingConfig) -> bool:
    """Return whether the store is an SQLite file, or none: opening it waits for no other machine."""
    return not config.enabled or sqlite_path(resolve_uri(config)) is not None


def quiet_mlflow() -> None:
    """Turn off MLflow's telemetry, chatter and progress bars in this process, unless set otherwise."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # The tracker's own writer retries, so a request must give up soon.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    for name in ("mlflow", "alembic"):
        if name in sys.modules:
            logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    # It would show a traceback for every failed write, of which the tracker tells in a sentence.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _connect(uri: str, experiment: str, database: Path | None) -> Store:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with alone_with(database), made_at_once(database):
        client = MlflowClient(tracking_uri=for_mlflow(uri))
    found = client.get_experiment_by_name(experiment)
    if found is None:
        artifacts = None if database is None else (database.parent / ARTIFACTS / _slug(experiment)).as_uri()
        tags = {NOTE_TAG: EXPERIMENT_NOTE, "mlflow.experimentKind": "custom_model_development"}
        try:
            return Store(client, uri, experiment, client.create_experiment(experiment, artifacts, tags))
        except MlflowException as error:
            # Another sweep may have created it a moment ago.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(experiment)
    return Store(client, uri, experiment, _usable(found, uri, experiment).experiment_id)


def _experiment(uri: str, name: str) -> Any:
    """Return a server's experiment; None where it has none of that name."""
    from mlflow import MlflowClient

    found = MlflowClient(tracking_uri=uri).get_experiment_by_name(name)
    return found if found is None else _usable(found, uri, name)


def _usable(found: Any, uri: str, experiment: str) -> Any:
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(
            f"tracking.experiment: {experiment!r} was deleted in {redact_text(uri)}; restore it with "
            f"`mlflow experiments restore`, or set tracking.experiment to another name."
        )
    return found


@contextlib.contextmanager
def _short_requests(timeout: float) -> Iterator[None]:
    names = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(timeout))),
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        quiet_mlflow()


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip(".") or "experiment"
