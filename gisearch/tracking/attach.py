"""Add to a sweep's run what was found out about it later: a report, a confirmation, an ablation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig, resolve_uri, sqlite_path


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
    database = sqlite_path(resolve_uri(config))
    if database is not None and not database.is_file():
        return f"{what} could not be added to MLflow: there is no {database} (a relative path?)."

    from gisearch.tracking.operations import (
        Runs,
        RunWriter,
        artifact,
        clean_tags,
        encode_metrics,
        metric_name,
    )
    from gisearch.tracking.store import open_store
    from gisearch.tracking.store_check import short_reason

    try:
        store = open_store(config)
    except TrackingError as error:
        return f"{what} could not be added to MLflow: {error}"
    assert store is not None
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
