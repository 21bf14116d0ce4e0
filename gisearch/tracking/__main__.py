"""``python -m gisearch.tracking upload SPOOL``: deliver what a sweep could not record at the time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gisearch.config import build
from gisearch.errors import GisearchError
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.spool import upload_spool


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gisearch.tracking", description="MLflow tracking.")
    commands = parser.add_subparsers(dest="command", required=True)
    upload = commands.add_parser("upload", help="deliver a tracking_spool.jsonl to its MLflow store")
    upload.add_argument("spool", type=Path, help="the sweep's tracking_spool.jsonl")
    upload.add_argument("--uri", help="the MLflow store, unless MLFLOW_TRACKING_URI or ./mlflow.db is it")
    options = parser.parse_args(arguments)
    try:
        report = upload_spool(options.spool, build(TrackingConfig, {"uri": options.uri}))
    except GisearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(report.message)
    return 1 if report.rejected else 0


if __name__ == "__main__":
    sys.exit(main())
