"""What a server said, and what helps for that."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.failed_requests import meaning_of
from gisearch.tracking.store import open_store

LONG = "the reason " * 40


@pytest.fixture
def serve() -> Iterator[Callable[[int, str], str]]:
    """Serve one answer to every request; returns the address."""
    servers = []

    def start(code: int, body: str) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        servers.append(HTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "body", "reason", "help"),
    [
        (
            401,
            "",
            "it refuses the credentials (401)",
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_",
        ),
        (
            403,
            "Invalid Host header - possible DNS rebinding attack detected",
            "access is forbidden (403): it serves other host names only",
            "start the server with --allowed-hosts 127.0.0.1:",
        ),
        (403, "<html><b>Not</b> yours</html>", "access is forbidden (403): Not yours", "ask who runs it"),
        (404, "<p>nothing here</p>", "it knows no such page (404): nothing here", "correct the address"),
        (407, "", "the proxy wants credentials (407)", "give them in http_proxy"),
        (502, "", "what stands before the server answers for it (502)", "start the server behind it"),
        (500, "", "it has an error of its own (500)", "look into the server's log"),
        (302, "", "it sends elsewhere (302)", "give the address that it sends to"),
        (200, "<html>log in</html>", "its answer is not an MLflow server's", "correct the address: another"),
        (403, LONG, f"access is forbidden (403): {LONG.strip()}", "ask who runs it"),
    ],
)
def test_answers(code: int, body: str, reason: str, help: str, serve: Callable[[int, str], str]) -> None:
    address = serve(code, body)
    with pytest.raises(TrackingError) as error:
        open_store(TrackingConfig(uri=address, timeout=3.0))
    assert str(error.value).startswith(
        f"tracking.uri: the MLflow server at {address} cannot be used (tried within 3 s: {reason}); {help}"
    )
    assert str(error.value).endswith("set tracking.uri to another store, or set tracking.enabled=false.")
    assert ("start the server" in str(error.value)) == ("start the server" in help)


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrackingError, match=r"proxy could not be used\); .* or set no_proxy=far\.invalid,"):
        open_store(TrackingConfig(uri="http://far.invalid:5000", timeout=3.0))


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0123456789ab", r"made by a newer MLflow than .*, which is installed here\); upgrade MLflow here"),
        (
            "451aebb31d03",
            r"made by an older MLflow than .*\); make a copy of it, then .* db upgrade sqlite",
        ),
    ],
)
def test_a_database_of_another_mlflow(version: str, words: str, tmp_path: Path, empty_database: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_database, path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
    database.close()
    with pytest.raises(TrackingError, match=words):
        open_store(TrackingConfig(uri=f"sqlite:///{path}"))


def test_nothing_is_cut_and_secrets_are_left_out() -> None:
    meaning = meaning_of(RuntimeError(f"{LONG} postgresql://u:pa55@host/db"))
    assert meaning.reason == f"{' '.join(LONG.split())} postgresql://host/db"
