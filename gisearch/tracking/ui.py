"""MLflow's own UI on a sweep's store: a server on this machine alone, and the page to look at."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from gisearch.errors import TrackingError
from gisearch.tracking.config import for_mlflow
from gisearch.tracking.redact import redact_text

HOST = "127.0.0.1"
# Where `mlflow ui` listens by itself, so that a forwarded port and saved addresses stay the same.
USUAL_PORT = 5000
_PATIENCE = 120.0
_TAIL = 3


def free_port(wanted: int | None = None) -> int:
    """Return the port to listen on: the one asked for, else the usual one, else any that is free.

    Raises:
        TrackingError: the one asked for is in use.
    """
    for port in (USUAL_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            # As servers do: the port of one that has just ended can be used again.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise TrackingError(f"--port {wanted} is in use on this machine; leave it out to take a free one.")


@contextlib.contextmanager
def served(uri: str, port: int, patience: float = _PATIENCE) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``mlflow server`` on a store while the context lasts; it is entered when the server answers.

    Args:
        uri: the store: a database's address, credentials included.
        port: where to listen, on this machine alone.
        patience: seconds to wait for its first answer.

    Raises:
        TrackingError: the server ended, or did not answer in time; with the last lines that it wrote.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", HOST, "--port", str(port)]
    environment = {
        **os.environ,
        # Not on the command line, where everybody on this machine could read its credentials.
        "MLFLOW_BACKEND_STORE_URI": for_mlflow(uri),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with tempfile.TemporaryFile() as log:
        # A group of its own: the server starts workers, which end with it.
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            if not _answers_in_time(port, server, patience):
                log.seek(0)
                lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
                said = redact_text(" / ".join(lines[-_TAIL:])) or "it said nothing"
                raise TrackingError(f"MLflow's server did not start: {said}.")
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _answers_in_time(port: int, server: subprocess.Popen[bytes], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def has_display(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether a browser can be opened where the user sits: not over SSH, and not without a display."""
    if is_over_ssh(environment):
        return False
    return platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def is_over_ssh(environment: Mapping[str, str]) -> bool:
    """Return whether this shell is at the other end of SSH."""
    return bool(environment.get("SSH_CONNECTION"))


def forwarding(port: int, environment: Mapping[str, str]) -> str | None:
    """Return what to type where the user sits to reach a port of this machine; None where it is this one."""
    if not is_over_ssh(environment):
        return None
    fields = environment["SSH_CONNECTION"].split()
    host = fields[2] if len(fields) == 4 else "HOST"
    return f"ssh -L {port}:{HOST}:{port} {environment.get('USER') or getpass.getuser()}@{host}"


def database_of(folder: Path, uri: str, started_in: str | None = None) -> Path | None:
    """Return where an SQLite store lies that a sweep wrote down; None where it is not to be found.

    Args:
        folder: the sweep's folder, below the one that the sweep was started in.
        uri: the store's path as it was written down.
        started_in: the folder that the sweep was started in, where that is known.
    """
    above = folder.resolve().parents
    noted = [] if started_in is None else [Path(started_in)]
    for directory in (Path.cwd(), *noted, *above[1:2], *above[:1]):
        if (directory / uri).is_file():
            return directory / uri
    return None
