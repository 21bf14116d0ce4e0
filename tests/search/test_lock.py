from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gisearch.errors import ConfigError
from gisearch.search.lock import locked
from gisearch.search.study import load_study, open_study
from gisearch.training.objective import Objective

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


class TestWithoutLocks:
    @pytest.fixture(autouse=True)
    def refuse(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file system that knows no locks."""

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(fcntl, "flock", refuse)

    def test_a_second_process_is_refused(self, tmp_path: Path) -> None:
        with locked(tmp_path):
            with pytest.raises(ConfigError) as error, locked(tmp_path):
                pass
            assert str(error.value) == (
                f"{tmp_path} is being run by process {os.getpid()} on {socket.gethostname()} (or it died "
                f"there and left {tmp_path}/lock.held); expected a sweep that nobody runs."
            )
        with locked(tmp_path):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]

    def test_what_a_dead_process_left_does_not_count(self, tmp_path: Path) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait(30)
        held = tmp_path / "lock.held"
        held.write_text(f"process {ended.pid} on {socket.gethostname()}\n")
        with locked(tmp_path):
            assert str(os.getpid()) in held.read_text()
        held.write_text(f"process {ended.pid} on elsewhere\n")
        with pytest.raises(ConfigError, match=r"is being run by process .* on elsewhere"), locked(tmp_path):
            pass


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    study = open_study(tmp_path, "s", Objective("val/pearson", "max"))
    study.tell(study.ask(), 0.5)
    assert len(load_study(tmp_path).trials) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["study.journal"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from gisearch.errors import ConfigError; "
        "from gisearch.search.lock import locked\n"
        "os.geteuid() == 0 and os.setuid(54321)\n"
        "try:\n    with locked(Path(sys.argv[1])): pass\nexcept ConfigError as error: print(error)"
    )
    # A worker of pytest-xdist has one folder more.
    for above in (tmp_path, *(one for one in tmp_path.parents if "pytest-of-" in str(one))):
        above.chmod(above.stat().st_mode & 0o755 | 0o055)
    tmp_path.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    tmp_path.chmod(0o755)
    assert done.stdout == (
        f"{tmp_path} cannot be written (Permission denied); expected a sweep that can go on there.\n"
    )
