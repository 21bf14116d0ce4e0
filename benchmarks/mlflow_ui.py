"""Whether MLflow's own server opens a store, and how long its UI waits for a sweep."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gisearch.tracking.store import PARENT_TAG, Store


def open_ui(store: Store, parent_run_id: str, folder: Path) -> dict[str, Any]:
    """Start ``mlflow server`` on the store; ask for its page and for the sweep's best trials, as the UI does.

    Returns:
        ``status`` of the page, ``start_seconds`` until the server answers, ``search_seconds`` of the first
        100 trials by objective, whether they came ``sorted``, and ``runs``, the trials in the store.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, place = f"http://127.0.0.1:{port}", ["--host", "127.0.0.1", "--port", str(port)]
    started = time.perf_counter()
    with (folder / "server.log").open("wb") as log:
        # A group of its own: the server starts workers, which must end with it.
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--workers",
                "1",
                "--backend-store-uri",
                store.uri,
                *place,
            ],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            status = _page(address, server)
            start_seconds = time.perf_counter() - started
            query = {
                "experiment_ids": [store.experiment_id],
                "filter": f"tags.`{PARENT_TAG}` = '{parent_run_id}'",
                "order_by": ["metrics.`objective` DESC"],
                "max_results": 100,
            }
            started = time.perf_counter()
            found = _search(address, query)
            seconds = time.perf_counter() - started
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)
    values = [
        metric["value"]
        for run in found["runs"]
        for metric in run["data"].get("metrics", ())
        if metric["key"] == "objective"
    ]
    return {
        "status": status,
        "start_seconds": round(start_seconds, 2),
        "search_seconds": round(seconds, 3),
        "sorted": bool(values) and values == sorted(values, reverse=True),
        "runs": len(store.children(parent_run_id)),
    }


def _page(address: str, server: subprocess.Popen[bytes], patience: float = 120.0) -> int:
    """Return the status of the UI's page, once the server answers."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(f"{address}/", timeout=10) as answer:
                return int(answer.status)
        except (urllib.error.URLError, OSError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mlflow server does not answer ({error})") from error
            time.sleep(0.2)


def _search(address: str, query: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/runs/search",
        data=json.dumps(query).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
