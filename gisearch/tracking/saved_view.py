"""A page of MLflow's UI that shows one sweep's trials, best first, with the columns that matter.

MLflow keeps such pages as experiment tags (its "shared views"); one that an older or newer UI cannot
read does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig, is_server
from gisearch.tracking.redact import redact_text
from gisearch.tracking.store import PARENT_TAG, STATUS_TAG, Store, open_store

_VIEW_TAG = "mlflow.sharedViewState."
_COSTS = ("epochs", "seconds", "parameters", "peak_memory_mb")
_PARAMETERS = 16
_LOCAL_SERVER = "http://127.0.0.1:5000"  # where `mlflow ui` listens unless told otherwise


def save_view(store: Store, parent_run_id: str, searched: Sequence[str], *, maximise: bool) -> None:
    """Save the page of a sweep's trials.

    Args:
        store: the open store.
        parent_run_id: the sweep.
        searched: the searched parameters, in the order of their columns.
        maximise: whether the best objective is the highest.

    Raises:
        Exception: whatever MLflow raises.
    """
    # Widths in pixels. The best configuration comes first: MLflow opens an assistant beside the table.
    columns = {"metrics.`objective`": 90}
    columns |= {f"params.`{name}`": min(140, 30 + 7 * len(name)) for name in searched[:_PARAMETERS]}
    columns |= {f"tags.`{STATUS_TAG}`": 115}
    columns |= {f"metrics.`{name}`": 100 for name in _COSTS}
    state = {
        "searchFilter": f"tags.`{PARENT_TAG}` = '{parent_run_id}'",
        "orderByKey": "metrics.`objective`",
        "orderByAsc": not maximise,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": columns,
    }
    store.client.set_experiment_tag(store.experiment_id, f"{_VIEW_TAG}{parent_run_id}", json.dumps(state))


def view_address(store: Store, parent_run_id: str) -> str:
    """Return the address of the saved page: on the tracking server, or on a local ``mlflow ui``."""
    return page_of(
        store.uri if is_server(store.uri) else _LOCAL_SERVER, _fragment(store.experiment_id, parent_run_id)
    )


def page_of(server: str, fragment: str) -> str:
    """Return the address of a page on a server, without its credentials."""
    return f"{redact_text(server).rstrip('/')}/{fragment}"


def trials_page(config: TrackingConfig, parent_run_id: str) -> str:
    """Return the fragment of a finished sweep's page, as its store knows the sweep.

    Raises:
        TrackingError: the store cannot be opened, or does not hold the run.
    """
    store = open_store(config)
    assert store is not None, "tracking is on"
    from mlflow.exceptions import MlflowException

    try:
        run = store.client.get_run(parent_run_id)
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise TrackingError(
            f"{store.address} does not hold the run {parent_run_id} of this sweep: {reason}."
        ) from None
    return _fragment(run.info.experiment_id, parent_run_id)


def with_links(store: Store, parent_run_id: str, markdown: str) -> str:
    """Return a sweep's description with links to the saved page behind its first paragraph."""
    table = _fragment(store.experiment_id, parent_run_id)
    links = f"[All trials, best first]({table}) · [their curves]({table}&compareRunsMode=CHART)"
    first, _, rest = markdown.partition("\n\n")
    return "\n\n".join(part for part in (first, links, rest) if part)


def _fragment(experiment_id: str, parent_run_id: str) -> str:
    query = f"workflowType=machine_learning&viewStateShareKey={parent_run_id}"
    return f"#/experiments/{experiment_id}/runs?{query}"
