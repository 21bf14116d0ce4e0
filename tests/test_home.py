"""Commands work without a home folder and without a user's name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import getpass, os, stat, sys
from pathlib import Path
from gisearch.command_line import run

def main(_):
    import matplotlib
    from gisearch.data.cache import cache_folder
    writable = os.access(matplotlib.get_configdir(), os.W_OK)
    print(os.getuid(), getpass.getuser(), Path.home().is_dir(), writable)
    cache_folder()
    folder = Path(os.environ.get("MPLCONFIGDIR") or os.environ["HOME"])
    print(oct(stat.S_IMODE(folder.stat().st_mode)))

sys.exit(run(main, []))
"""


def run_as_nobody(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "USER", "LOGNAME", "MPLCONFIGDIR")}
    command = ["unshare", "--user", "--map-user=54321", "--map-group=54321", sys.executable, "-c", SCRIPT]
    done = subprocess.run(
        command,
        env={**kept, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip("no user of no name can be made here")
    return done


def test_a_user_of_no_name_and_no_home(tmp_path: Path) -> None:
    done = run_as_nobody(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "54321 user54321 True True\n0o700\n"


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    done = run_as_nobody(tmp_path, HOME="/proc/nonexistent", LOGNAME="somebody")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "54321 somebody False True\n0o700\n"


def test_another_users_folder_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "gisearch-54321").symlink_to("elsewhere")
    done = run_as_nobody(tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []
