"""Whether a store can be used, and what a failed request means."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig, is_server, sqlite_uri
from gisearch.tracking.database_version import installed_versions, version_of
from gisearch.tracking.failed_requests import meaning_of, of_schema
from gisearch.tracking.redact import redact_text

T = TypeVar("T")

_ADVICE = "set tracking.uri to another store, or set tracking.enabled=false"
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
# MLflow's codes for a request that will never succeed, however often it is repeated.
_PERMANENT = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)


def check_sqlite(path: Path) -> None:
    """Raise TrackingError unless the SQLite file at ``path`` can be read and written, or created."""
    shown = f"tracking.uri: the SQLite file {path}"
    if path.is_dir():
        raise TrackingError(f"{shown} is a folder; name a file in it, or set tracking.enabled=false.")
    if not path.parent.is_dir():
        raise TrackingError(f"{shown} cannot be created: its folder does not exist; create it, or {_ADVICE}.")
    try:
        if path.exists():
            with path.open("r+b") as file:
                header = file.read(16)
            if header and header != b"SQLite format 3\0":
                raise TrackingError(f"{shown} is not an SQLite database; name another file, or {_ADVICE}.")
        # SQLite writes its journal beside the database, so the folder must be writable too.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".gisearch-"):
            pass
    except OSError as error:
        raise TrackingError(
            f"{shown} cannot be written ({error.strerror}); change its permissions, or {_ADVICE}."
        ) from None


def check_version(path: Path) -> None:
    """Raise TrackingError where an SQLite file's tables are those of an older or newer MLflow."""
    version = version_of(path)
    newest = None if version is None else installed_versions()[1]
    if version is None or newest is None or version == newest:
        return
    meaning = of_schema(version, sqlite_uri(path))
    raise TrackingError(
        f"tracking.uri: the MLflow store {sqlite_uri(path)} cannot be opened ({meaning.reason}); "
        f"{meaning.help}, {_ADVICE}."
    )


def probe_network_database(uri: str, timeout: float) -> None:
    """Raise OSError where a network database's port does not answer within ``timeout`` seconds."""
    # A database driver, and MLflow around it, may try an absent host for minutes.
    parts = urlsplit(uri)
    default = next((port for name, port in _DATABASE_PORTS.items() if parts.scheme.startswith(name)), None)
    if default is not None and parts.hostname:
        socket.create_connection((parts.hostname, parts.port or default), timeout=timeout).close()


def explain(uri: str, config: TrackingConfig, error: Exception) -> str:
    """Return one sentence about a store that cannot be opened: what was tried, and what to do."""
    where, meaning = redact_text(uri), meaning_of(error, uri)
    helps = f"{meaning.help}, " if meaning.help else ""
    if is_server(uri):
        return (
            f"tracking.uri: the MLflow server at {where} cannot be used (tried within {config.timeout:g} s: "
            f"{meaning.reason}); {helps}{_ADVICE}."
        )
    return f"tracking.uri: the MLflow store {where} cannot be opened ({meaning.reason}); {helps}{_ADVICE}."


def within(seconds: float, action: Callable[[], T]) -> T:
    """Run ``action``, at most for some seconds: a database driver may try for minutes."""
    results: list[T] = []
    errors: list[Exception] = []

    def target() -> None:
        try:
            results.append(action())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=target, name="gisearch-tracking-open", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"timed out after {seconds:g} s")
    return results[0]


def is_permanent(error: Exception) -> bool:
    """Return whether repeating a failed write is pointless: MLflow refused it, or its file is gone."""
    code = getattr(error, "error_code", None)
    if code is None:
        database_error = any(base.__name__ == "SQLAlchemyError" for base in type(error).__mro__)
        passing = database_error or isinstance(error, OSError)
        return not passing or isinstance(error, FileNotFoundError)
    return str(code) in _PERMANENT


def short_reason(error: Exception) -> str:
    """Return the cause of a failed request in words, without addresses or credentials."""
    return meaning_of(error).reason
