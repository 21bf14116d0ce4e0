"""Add to a sweep's run what was found out about it later: a report, an ablation, an ensemble."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig, resolve_uri, sqlite_path

if TYPE_CHECKING:
    from gisearch.tracking.registration import Winner
    from gisearch.tracking.store import Store


def attach(
    config: TrackingConfig,
    run_id: str,
    artifacts: Mapping[str, Path],
    *,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
) -> str | None:
    """Add artifacts, metrics and tags to a run that has ended; doing so again replaces them.

    Never raises for a store that fails: what is attached is a copy of what lies on disk.

    Args:
        config: names the store.
        run_id: the sweep's parent run.
        artifacts: path below the run's artifacts (``report.html``) to local file; of YAML files secrets are
            masked.
        metrics: single numbers.
        tags: text, secrets masked.

    Returns:
        None, or one sentence that tells why it could not be done.
    """
    if not config.enabled:
        return "tracking.enabled is false: nothing was added to MLflow."

    what = ", ".join(artifacts) or "what was found"

    from gisearch.tracking.operations import (
        Runs,
        RunWriter,
        artifact,
        clean_tags,
        encode_metrics,
        metric_name,
    )
    from gisearch.tracking.store_check import short_reason

    store = _open(config)
    if isinstance(store, str):
        return f"{what} could not be added to MLflow: {store}"
    try:
        from mlflow.entities import Metric, RunTag

        moment, directory = time.time_ns() // 1_000_000, Path.cwd()
        points = [
            Metric(metric_name(key), float(value), moment, 0)
            for key, value in encode_metrics(metrics or {}).items()
        ]
        labels = [RunTag(key, value) for key, value in clean_tags(tags or {}).items()]
        store.client.get_run(run_id)  # an empty batch would not notice that it is gone
        store.client.log_batch(run_id, points, [], labels)
        writer = RunWriter(store, Runs(run_id, {}), directory)
        for path, local in artifacts.items():
            writer.apply([artifact(path, local, directory)])
    except Exception as error:
        return f"{what} could not be added to run {run_id} in {store.address}: {short_reason(error)}"
    return None


def attach_model(
    config: TrackingConfig, run_id: str, package: Path, winner: Winner
) -> tuple[str | None, str]:
    """Register a model that was made from a sweep after its end. May be repeated without harm.

    Never raises for a store that fails: the model lies on disk, and can be registered again.

    Args:
        config: names the store.
        run_id: the sweep's parent run, which becomes the model's source.
        package: the model's folder, from :mod:`gisearch.tracking.model_package`.
        winner: what to say about it.

    Returns:
        The model's address and nothing, or None and one sentence that tells why it could not be done.
    """
    from gisearch.tracking.registration import register
    from gisearch.tracking.store_check import short_reason

    store = _open(config)
    if isinstance(store, str):
        return None, f"the model could not be registered in MLflow: {store}"
    try:
        return register(store, run_id, run_id, package, winner), ""
    except Exception as error:
        return None, f"the model could not be registered in {store.address}: {short_reason(error)}"


def _open(config: TrackingConfig) -> Store | str:
    """Return a store that exists already, or why it cannot be opened."""
    database = sqlite_path(resolve_uri(config))
    if database is not None and not database.is_file():
        return f"there is no {database} (a relative path?)."
    from gisearch.tracking.store import open_store

    try:
        store = open_store(config)
    except TrackingError as error:
        return str(error)
    assert store is not None
    return store
