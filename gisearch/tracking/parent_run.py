"""The run that stands for a whole sweep: created, or gone on with."""

from __future__ import annotations

import getpass
import itertools
from collections.abc import Mapping
from contextlib import suppress

from gisearch.errors import TrackingError
from gisearch.tracking.dataset_inputs import dataset_inputs, describe_parts
from gisearch.tracking.operations import clean_params, clean_tags
from gisearch.tracking.records import DatasetRecord, Scalar
from gisearch.tracking.store import STATUS_TAG, Store


def create_parent(
    store: Store,
    name: str,
    params: Mapping[str, Scalar],
    tags: Mapping[str, str],
    dataset: DatasetRecord | None,
) -> str:
    """Create a sweep's parent run and return its id. Raises whatever MLflow raises."""
    from mlflow.entities import Param

    client = store.client
    plain = clean_tags({STATUS_TAG: "running", **origin_tags(tags), **tags})
    run_id: str = client.create_run(store.experiment_id, tags=plain, run_name=name).info.run_id
    rows = [Param(key, value) for key, value in clean_params(params).items()]
    for first in range(0, len(rows), 100):
        client.log_batch(run_id, params=rows[first : first + 100])
    if dataset is not None:
        client.log_inputs(run_id, dataset_inputs(describe_parts(dataset)))
    return run_id


def reopen_parent(store: Store, run_id: str, tags: Mapping[str, str]) -> dict[int, str]:
    """Set a parent run to running again, and close the trials that an interruption left running.

    Returns:
        Run id by trial number.

    Raises:
        TrackingError: the store holds no such run.
    """
    client = store.client
    try:
        run = client.get_run(run_id)
    except Exception as error:
        if str(getattr(error, "error_code", "")) != "RESOURCE_DOES_NOT_EXIST":
            raise
        run = None
    if run is None or run.info.lifecycle_stage != "active":
        raise TrackingError(
            f"tracking: {store.address} holds no run {run_id}, in which this sweep began; set "
            f"tracking.uri to the store of its start, or set tracking.enabled=false."
        )
    store.experiment_id = run.info.experiment_id
    children = store.children(run_id)
    for child in children.values():
        if child.info.status == "RUNNING":
            client.set_tag(child.info.run_id, STATUS_TAG, "interrupted")
            client.set_terminated(child.info.run_id, "KILLED")
    before = run.data.tags
    changes = {
        STATUS_TAG: "running",
        "gisearch.resumed": str(int(before.get("gisearch.resumed", "0")) + 1),
    }
    for key, value in clean_tags(tags).items():
        # The provenance of the start stays; where a resume differs, it is told beside it.
        if before.get(key) != value:
            changes[f"{key}.resumed" if key in before else key] = value
    for key, value in changes.items():
        client.set_tag(run_id, key, value)
    client.update_run(run_id, status="RUNNING")
    return {number: child.info.run_id for number, child in children.items()}


def _program(command: str | None) -> str | None:
    """Return a command without its overrides: MLflow shows what follows the last slash."""
    if command is None:
        return None
    return " ".join(itertools.takewhile(lambda word: "=" not in word, command.split()))


def origin_tags(tags: Mapping[str, str]) -> dict[str, str | None]:
    """Return what MLflow's tables show as a run's user and source, from the provenance in ``tags``."""
    origin = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": _program(tags.get("command")),
        "mlflow.source.git.commit": tags.get("git.commit"),
    }
    # A container may have no entry for this user.
    with suppress(KeyError, OSError):
        origin["mlflow.user"] = getpass.getuser()
    return origin
