"""The report of a sweep where people look for it: in its folder, and in its MLflow run."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from gisearch.answers.ensemble.findings import ensemble_path
from gisearch.answers.findings import ANSWERS_FOLDER
from gisearch.answers.report.page import REPORT, write_report
from gisearch.search.folders import ENSEMBLE_FOLDER, read_runs
from gisearch.search.results import SweepResults
from gisearch.tracking.attach import attach


def publish(results: SweepResults, console: Console, path: Path | None = None) -> Path:
    """Write the report; add it, with what was found, to the sweep's MLflow run, if it has one.

    A store that cannot be reached costs a sentence.

    Args:
        results: the sweep.
        console: where it is said.
        path: where the report goes; ``report.html`` in the sweep's folder unless given.

    Returns:
        The report.

    Raises:
        DiskFullError: there is no space left; an earlier report is still there.
        ConfigError: the file cannot be written.
    """
    page = write_report(results, path)
    console.print(f"Report written: {page}", highlight=False, soft_wrap=True)
    run = read_runs(results.folder)["parent"]
    if run is not None and results.tracking.enabled:
        findings = sorted((results.folder / ANSWERS_FOLDER).glob("*.json"))
        artifacts = {REPORT: page, **{f"{ANSWERS_FOLDER}/{one.name}": one for one in findings}}
        ensemble = ensemble_path(results.folder)
        if ensemble.is_file():
            artifacts[f"{ENSEMBLE_FOLDER}/{ensemble.name}"] = ensemble
        if problem := attach(results.tracking, run, artifacts):
            console.print(problem, style="yellow", highlight=False, soft_wrap=True)
    return page
