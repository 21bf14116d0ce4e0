"""A page of MLflow's UI that shows one sweep's trials, best first, with the columns that matter.

MLflow keeps such pages as experiment tags (its "shared views"); one that an older or newer UI cannot
read does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gisearch.tracking.config import is_server
from gisearch.tracking.redact import redact_text
from gisearch.tracking.store import PARENT_TAG, STATUS_TAG, Store

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
    columns = {"metrics.`objective`": 105, f"tags.`{STATUS_TAG}`": 115}  # widths in pixels
    columns |= {f"params.`{name}`": min(180, 30 + 7 * len(name)) for name in searched[:_PARAMETERS]}
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
    server = redact_text(store.uri).rstrip("/") if is_server(store.uri) else _LOCAL_SERVER
    return f"{server}/{_fragment(store, parent_run_id)}"


def with_links(store: Store, parent_run_id: str, markdown: str) -> str:
    """Return a sweep's description with links to the saved page behind its first paragraph."""
    table = _fragment(store, parent_run_id)
    links = f"[All trials, best first]({table}) · [their curves]({table}&compareRunsMode=CHART)"
    first, _, rest = markdown.partition("\n\n")
    return "\n\n".join(part for part in (first, links, rest) if part)


def _fragment(store: Store, parent_run_id: str) -> str:
    query = f"workflowType=machine_learning&viewStateShareKey={parent_run_id}"
    return f"#/experiments/{store.experiment_id}/runs?{query}"
