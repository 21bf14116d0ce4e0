"""``python -m gisearch.ui [NAME]``: MLflow's UI on a sweep's trials, best first."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gisearch.command_line import pasteable, run
from gisearch.errors import TrackingError

if TYPE_CHECKING:
    from gisearch.tracking.config import TrackingConfig


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch ui",
        description="Open MLflow's UI on a sweep: its trials, best first. A tracking server's page is said.",
    )
    result.add_argument(
        "name", nargs="?", help="the sweep's name in the results folder, or its folder (default: the latest)"
    )
    result.add_argument("--port", type=int, metavar="N", help="where to listen (default: 5000, or any)")
    result.add_argument("--no-browser", action="store_true", help="open no browser, only print the address")
    result.add_argument("--results-dir", default="results", metavar="DIR", help="the results folder")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command until it is interrupted.

    Raises:
        GisearchError: there is no such sweep, it was not tracked, or its store is gone.
    """
    arguments = parser().parse_args(list(argv))

    from gisearch.search.folders import find_results, latest_sweep, read_runs
    from gisearch.tracking.config import is_server, resolve_uri
    from gisearch.tracking.saved_view import page_of, trials_page
    from gisearch.tracking.ui import HOST, forwarding, free_port, served

    folder = (
        find_results(arguments.name, arguments.results_dir)
        if arguments.name
        else latest_sweep(arguments.results_dir)
    )
    config = _store_of(folder)
    parent = read_runs(folder)["parent"]
    if parent is None:
        raise TrackingError(f"{folder} knows no run of MLflow; its records may wait in the spool.")
    page = trials_page(config, parent)
    uri = resolve_uri(config)
    if is_server(uri):
        print(f"All trials, best first: {page_of(uri, page)}")
        return 0
    port = free_port(arguments.port)
    print(f"Starting MLflow on {folder.name} ...", flush=True)
    with served(uri, port) as server:
        address = page_of(f"http://{HOST}:{port}", page)
        if (forward := forwarding(port, os.environ)) is not None:
            print(f"First, on the machine you sit at: {forward}")
        print(f"All trials, best first: {address}")
        print("Ctrl-C ends it.", flush=True)
        if not arguments.no_browser:
            _open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
    return 0


def _store_of(folder: Path) -> TrackingConfig:
    """Return the tracking of a sweep, with the place of its SQLite file.

    Raises:
        GisearchError: it is no sweep, was not tracked, or the file is gone.
    """
    from gisearch.config import build
    from gisearch.search.folders import read_facts
    from gisearch.tracking.config import TrackingConfig, resolve_uri, sqlite_path, sqlite_uri
    from gisearch.tracking.ui import database_of

    facts = read_facts(folder)
    config = build(TrackingConfig, facts.get("tracking", {}))
    if not config.enabled:
        raise TrackingError(
            f"{folder} was not tracked (tracking.enabled=false); {pasteable('report', folder)} shows it."
        )
    uri = resolve_uri(config, Path())
    written = sqlite_path(uri)
    if written is None:
        return config
    found = database_of(folder, str(written), facts.get("started_in"))
    if found is None:
        raise TrackingError(
            f"there is no {written} here ({Path.cwd()}) nor where {folder} lies; run this in the folder that "
            "the sweep was started in."
        )
    return replace(config, uri=sqlite_uri(found))


def _open(address: str) -> None:
    from gisearch.tracking.ui import has_display

    if has_display(os.environ):
        import webbrowser

        webbrowser.open(address)


if __name__ == "__main__":
    sys.exit(run(main))
