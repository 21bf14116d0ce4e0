from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("Makefile", "pyproject.toml", "constraints.txt", "clusters")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A home with a copy of the project whose environment is complete; returns the home."""
    project = tmp_path / "gisearch"
    project.mkdir()
    for part in PARTS:
        if (REPOSITORY / part).is_dir():
            shutil.copytree(REPOSITORY / part, project / part)
        else:
            shutil.copy2(REPOSITORY / part, project / part)
    (project / ".venv" / "bin").mkdir(parents=True)
    # That there is nothing to install is what `make` sees.
    (project / ".venv" / ".installed").touch()
    (tmp_path / ".bashrc").write_text("# the user's own")
    return tmp_path


def bash(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_machine_is_prepared_once(machine: Path) -> None:
    for _ in range(2):
        done = bash(machine, "bash ~/gisearch/clusters/install.sh aws")
        assert done.returncode == 0, done.stderr
    lines = (machine / ".bashrc").read_text().splitlines()
    assert lines == ["# the user's own", f"source {machine}/gisearch/clusters/environment.sh"]
    shown = bash(machine, "source ~/.bashrc; echo $PATH; echo $RAY_AUTH_MODE").stdout.splitlines()
    assert shown[0].startswith(f"{machine}/gisearch/.venv/bin:")
    assert shown[1] == "token"


def test_what_is_installed_where_something_changed(machine: Path) -> None:
    os.utime(machine / "gisearch" / ".venv" / ".installed", (0, 0))
    asked = bash(machine, "cd ~/gisearch; make -n install EXTRAS=aws,scatter").stdout
    assert "--constraint constraints.txt torch" in asked
    assert "--editable '.[aws,scatter]'" in asked


def test_installing_that_fails_is_no_success(machine: Path) -> None:
    (machine / "gisearch" / ".venv" / ".installed").unlink()
    # A package index that has nothing.
    nothing = "PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1"
    done = bash(machine, f"{nothing} bash ~/gisearch/clusters/install.sh aws")
    assert done.returncode != 0
    assert not (machine / "gisearch" / ".venv" / ".installed").exists()
