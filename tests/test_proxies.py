"""What runs on this machine is spoken to directly."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest

from gisearch.proxies import speak_directly_here


class Here(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Here) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there."""
    for name in ("no_proxy", "https_proxy", "all_proxy", "grpc_proxy", "http_proxy"):
        # Set first, so that what is done to it is undone.
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, "")
            monkeypatch.delenv(spelling)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


def asked(port: int) -> int:
    # Not urlopen: its opener is made once.
    with urllib.request.build_opener().open(f"http://127.0.0.1:{port}", timeout=5) as answer:
        return int(answer.status)


def test_loopback_goes_through_no_proxy(port: int) -> None:
    with pytest.raises(OSError, match="refused"):
        asked(port)
    speak_directly_here()
    assert asked(port) == 204


def test_what_is_excepted_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("NO_PROXY", "example.org, localhost")
    speak_directly_here()
    speak_directly_here()
    excepted = os.environ["no_proxy"].split(",")
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"]
    assert excepted[:2] == ["example.org", "localhost"]
    assert len(set(excepted)) == len(excepted)
    own = {a.address for found in psutil.net_if_addrs().values() for a in found if a.family.name == "AF_INET"}
    assert own <= {*excepted}
    monkeypatch.setenv("no_proxy", "*")
    speak_directly_here()
    assert os.environ["no_proxy"] == "*"


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("http_proxy")
    speak_directly_here()
    assert "no_proxy" not in os.environ
