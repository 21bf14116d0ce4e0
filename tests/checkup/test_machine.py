"""The machine as it is found: each check meets what it is there for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gisearch.checkup import machine
from gisearch.checkup.finding import State
from gisearch.errors import ConfigError
from gisearch.home import home_trouble


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR", *machine.given_proxies()):
        monkeypatch.delenv(name, raising=False)


def in_a_process(check: str, **environment: str) -> str:
    """Run one check in a process of its own; returns its state and text."""
    code = f"from gisearch.checkup import machine; print(*machine.{check}())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode(errors="replace")


def test_processors_that_are_not_allowed() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:1])
    try:
        state, text = machine.check_processors()
    finally:
        os.sched_setaffinity(0, before)
    assert state is State.OK
    assert text.startswith("1 processor")
    assert (os.cpu_count() == 1) or text.endswith("(affinity or a control group allows no more)")


def test_little_memory() -> None:
    assert machine.check_memory()[1].endswith(" free") or "little" in machine.check_memory()[1]
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 * 2**29, 3 * 2**29))\n"
        "from gisearch.checkup import machine; print(*machine.check_memory())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("NOTE 1.5 GiB of ")
    assert "raise the limit, or set search.concurrency=1" in done.stdout


class TestTemporary:
    def test_a_path_that_is_too_long(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / ("x" * 60)
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        with pytest.raises(ConfigError, match="longer than sockets may have; set RAY_TMPDIR to a folder"):
            machine.check_temporary()
        # A cluster that is joined has folders of its own.
        monkeypatch.setenv("RAY_ADDRESS", "auto")
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        assert machine.check_temporary()[0] is not State.PROBLEM

    def test_one_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TMPDIR", "/tmp/none/at/all")
        monkeypatch.setattr(tempfile, "tempdir", None)
        state, text = machine.check_temporary()
        assert state is State.NOTE
        assert (
            text == "TMPDIR=/tmp/none/at/all is no folder that can be written, so /tmp is taken; correct it."
        )

    def test_none_that_can_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", "/proc")
        state, text = machine.check_temporary()
        assert state is State.PROBLEM
        assert text.endswith("set TMPDIR to one, or free space.")


class TestHome:
    def test_one_that_is_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert home_trouble() is None
        assert machine.check_home() == (State.OK, str(tmp_path))

    def test_one_that_is_not(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "gone"))
        expected = f"HOME={tmp_path}/gone is no folder; set HOME to one of your own."
        assert machine.check_home() == (State.NOTE, expected)

    def test_one_that_cannot_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/proc")
        state, text = machine.check_home()
        assert state is State.NOTE
        assert text.startswith(
            "/proc cannot be written, so nothing is cached there; set HOME, or GISEARCH_CA"
        )

    def test_what_stands_in_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(Path(tempfile.gettempdir()) / "gisearch-54321"))
        state, text = machine.check_home()
        assert state is State.NOTE
        assert text.startswith("this user has none; ")


def test_locales() -> None:
    assert in_a_process("check_locale", LC_ALL="C.UTF-8").startswith("OK ")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = in_a_process("check_locale", **ascii_only)
    assert found.startswith("NOTE not all is UTF-8 (file names ")
    assert "set LC_ALL=C.UTF-8" in found
    found = in_a_process("check_locale", LC_ALL="xx_XX.UTF-8", PYTHONUTF8="1")
    assert found == "NOTE LC_ALL=xx_XX.UTF-8 is no locale of this machine; set LC_ALL=C.UTF-8.\n"
    found = in_a_process("check_locale", LC_ALL="C.UTF-8", PYTHONIOENCODING="latin-1")
    assert found.startswith("NOTE not all is UTF-8 (output ")


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.check_proxy() == (State.OK, "none")
    monkeypatch.setenv("http_proxy", "http://ada:secret@gate:3128")
    state, text = machine.check_proxy()
    assert state is State.OK
    assert text.startswith("http_proxy=http://")
    assert "secret" not in text
    monkeypatch.setenv("HTTPS_PROXY", "gate:3128")
    state, text = machine.check_proxy()
    assert state is State.NOTE
    assert text.endswith("; begin HTTPS_PROXY with http://.")
