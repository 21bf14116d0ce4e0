"""What keeps Ray from starting is one sentence, before anything is made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from gisearch.config import build
from gisearch.errors import ConfigError
from gisearch.search.config import SearchConfig
from gisearch.search.ray_start import check_ray, removed_at_a_clean_end, start_explained, token_without_home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs a superuser")
ANOTHER_USER = """
import os
from gisearch.errors import ConfigError
from gisearch.search.ray_start import check_ray
os.setuid(54321)
try:
    check_ray()
except ConfigError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


@as_root
def test_a_temporary_folder_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir(mode=0o755)
    # A worker of pytest-xdist has one folder more.
    for above in (tmp_path, *(one for one in tmp_path.parents if "pytest-of-" in str(one))):
        above.chmod(above.stat().st_mode | 0o055)
    environment = {**os.environ, "RAY_TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_USER], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f"Ray cannot start: {tmp_path}/ray cannot be written, for it is another user's or read-only; "
        "set RAY_TMPDIR to a folder of your own, such as /tmp/ray-$USER.\n"
    )


def test_a_path_that_is_too_long_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 60)))
    with pytest.raises(ConfigError, match=r"longer than sockets may have; set .* at most \d+ bytes"):
        check_ray()
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    check_ray()


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "ray://127.0.0.1:10001"])
def test_an_address_of_something_else(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=f"^RAY_ADDRESS={address}: expected the address of"):
        check_ray()


def test_a_cluster_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(ConfigError) as error:
        check_ray()
    assert time.monotonic() - began < 5
    assert str(error.value) == (
        "RAY_ADDRESS=127.0.0.1:9: no Ray cluster can be joined there ([Errno 111] Connection refused); start "
        "it, correct the address, or unset RAY_ADDRESS to run on this machine."
    )
    with socket.create_server(("127.0.0.1", 0)) as head:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{head.getsockname()[1]}")
        check_ray()
    for address in ("auto", "local"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        check_ray()
    monkeypatch.setenv("RAY_ADDRESS", "head")
    with pytest.raises(ConfigError, match=r"^RAY_ADDRESS=head: expected HOST:PORT, auto"):
        check_ray()


def test_whatever_else_comes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(
            ConfigError, match=r"^Ray cannot start on this machine \(Failed to start GCS\.\); its temp"
        ),
        start_explained(),
    ):
        raise Exception("Failed to\n  start GCS.")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    with (
        pytest.raises(
            ConfigError, match=r"^RAY_ADDRESS=127\.0\.0\.1:6379: no Ray cluster can be joined there"
        ),
        start_explained(),
    ):
        raise ConnectionError


@pytest.mark.parametrize(
    ("key", "number", "message"),
    [
        ("gpus_per_worker", 1.5, "more than one GPU must be whole ones; expected 1 or 2"),
        ("gpus_per_worker", 0.00001, "Ray divides nothing finer than into 0.0001"),
        ("cpus_per_worker", 0.00015, "Ray divides nothing finer than into 0.0001"),
    ],
)
def test_impossible_numbers_of_processors(key: str, number: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(SearchConfig, {key: number}, "search")


@pytest.mark.parametrize("number", [0.0001, 0.1, 0.25, 0.3333, 1.0, 2.0])
def test_possible_numbers_of_processors(number: float) -> None:
    build(SearchConfig, {"gpus_per_worker": number, "cpus_per_worker": number})
    build(SearchConfig, {"cpus_per_worker": 1.5})


def test_a_token_where_there_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODE", "TOKEN", "TOKEN_PATH"):
        monkeypatch.setenv(f"RAY_AUTH_{name}", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    token_without_home()
    assert not os.environ["RAY_AUTH_TOKEN"]
    monkeypatch.setenv("HOME", "/proc/nonexistent")
    token_without_home()
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    token_without_home()
    assert os.environ["RAY_AUTH_TOKEN"] == token


@pytest.mark.parametrize("is_clean", [True, False])
def test_a_session_is_removed_at_a_clean_end(is_clean: bool, tmp_path: Path) -> None:
    session, latest = tmp_path / "session_1", tmp_path / "session_latest"
    (session / "logs").mkdir(parents=True)
    latest.symlink_to(session)
    with suppress(ZeroDivisionError), ExitStack() as stack:
        stack.push(removed_at_a_clean_end(session))
        if not is_clean:
            raise ZeroDivisionError
    assert session.exists() is not is_clean
    assert latest.is_symlink() is not is_clean
