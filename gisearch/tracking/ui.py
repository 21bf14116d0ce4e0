"""How to look at what was recorded."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from gisearch.tracking.config import TrackingConfig, is_server, resolve_uri, sqlite_path, sqlite_uri
from gisearch.tracking.redact import redact_text


def ui_command(config: TrackingConfig) -> str:
    """Return the command that opens the MLflow UI on the store, or a server's address.

    The command works as printed in the working directory: the file's path is relative where it lies
    below it, and ``mlflow`` is the one beside this Python where the shell would not find it. Credentials
    are left out: a database that needs them needs them added.
    """
    uri = resolve_uri(config)
    if is_server(uri):
        return redact_text(uri)
    path = sqlite_path(uri)
    shown = redact_text(uri) if path is None else sqlite_uri(_relative(path))
    return f"{shlex.quote(_mlflow())} ui --backend-store-uri {shlex.quote(shown)}"


def _mlflow() -> str:
    # Not resolved: in a virtual environment the interpreter is a link to another folder's.
    beside = Path(sys.executable).parent / "mlflow"
    on_path = shutil.which("mlflow")
    if on_path is not None and (not beside.exists() or Path(on_path).resolve() == beside.resolve()):
        return "mlflow"
    if not beside.exists():
        return "mlflow"
    shown = _relative(beside)
    return str(shown) if shown.is_absolute() or os.sep in str(shown) else f".{os.sep}{shown}"


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
