from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gisearch.errors import ConfigError
from gisearch.search.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from gisearch.search.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def test_a_second_process_is_told_who_runs_the_sweep(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):
        with pytest.raises(ConfigError) as error, locked(tmp_path):
            pass
        assert str(error.value) == (
            f"{tmp_path} is being run by process {holder.pid} on {socket.gethostname()}; "
            "expected a sweep that nobody runs."
        )


def test_it_is_free_once_the_holder_has_ended(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.close()
    assert holder.wait(10) == 0
    with locked(tmp_path):
        pass


def test_it_is_free_once_the_holder_was_killed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait(10)
    with locked(tmp_path), pytest.raises(ConfigError), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_an_error_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


def test_a_file_system_without_locks_runs_the_sweep_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    entered = False
    with locked(tmp_path):
        entered = True
    assert entered
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
