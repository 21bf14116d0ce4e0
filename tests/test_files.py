"""Files that are there whole or not at all, and what is no file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gisearch.errors import ConfigError
from gisearch.files import expand_home, output_path, whole_file, write_whole
from gisearch.resources import find_search_space
from gisearch.search.folders import find_results
from gisearch.tracking.config import sqlite_path

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs a superuser")


def write(path: Path, data: bytes = b"new") -> None:
    with whole_file(path) as file:
        file.write(data)


def test_a_file_appears_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_bytes() == b"old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    write(path)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_and_owner_stay(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 54321, 54322)
    before = path.stat()
    write(path)
    write_whole(path, "text")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert path.read_text() == "text"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link, dangling = tmp_path / "elsewhere" / "f", tmp_path / "link", tmp_path / "dangling"
    target.touch()
    link.symlink_to(target)
    dangling.symlink_to("elsewhere/g")
    write(link)
    write(dangling)
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert target.read_bytes() == (tmp_path / "elsewhere" / "g").read_bytes() == b"new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join(10)
    assert got == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@as_root
def test_a_device_is_written_to(tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        # A node of our own for what /dev/null is.
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        node.write_bytes(b"")
    except OSError:
        pytest.skip("no device can be made here")
    write(node)
    assert stat.S_ISCHR(node.stat().st_mode)


def test_a_command_of_the_shell_is_written_to(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from gisearch.files import write_whole; "
    script += "write_whole(Path(sys.argv[1]), 'scores')"
    out = tmp_path / "out"
    line = f"'{sys.executable}' -c \"{script}\" >(tr s S > '{out}'); wait $!"
    subprocess.run(["bash", "-c", line], check=True, timeout=30)
    assert out.read_text() == "Score" + "S"


def test_a_folder_that_takes_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "f"
    path.touch()
    script = (
        "import os, sys; from pathlib import Path; from gisearch.files import write_whole; "
        "os.geteuid() == 0 and os.setuid(54321); write_whole(Path(sys.argv[1]), 'new')"
    )
    path.chmod(0o666)
    folder.chmod(0o555)
    # A worker of pytest-xdist has one folder more.
    for above in (tmp_path, *(one for one in tmp_path.parents if "pytest-of-" in str(one))):
        above.chmod(above.stat().st_mode | 0o055)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
        )
    finally:
        folder.chmod(0o755)
    assert done.stderr == ""
    assert path.read_text() == "new"


def test_what_can_be_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert output_path("~/f.csv", "--output") == tmp_path / "f.csv"
    assert output_path(str(tmp_path / "f.csv"), "--output") == tmp_path / "f.csv"
    with pytest.raises(ConfigError) as error:
        output_path(str(tmp_path), "--output")
    assert str(error.value) == (
        f"--output: {tmp_path} is a folder; expected a file, such as {tmp_path / 'NAME'}."
    )
    with pytest.raises(ConfigError) as error:
        output_path(str(tmp_path / "no" / "f"), "--output")
    assert str(error.value) == f"--output: no folder {tmp_path / 'no'} to write f in."


def test_a_home_that_is_nobodys() -> None:
    assert expand_home("a~b") == "a~b"
    with pytest.raises(ValueError, match=r"no home folder is known for '~nobody-here/x'"):
        expand_home("~nobody-here/x")
    for command in (find_search_space, lambda path: find_results(path, "results"), sqlite):
        with pytest.raises(ConfigError, match=r"no home folder is known for '~nobody-here/x'"):
            command("~nobody-here/x")


def sqlite(path: str) -> object:
    return sqlite_path(f"sqlite:///{path}")


def test_a_name_that_is_no_utf_8_is_written_as_something_legible(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "f").read_text(encoding="utf-8") == "caf\\udce9"
