"""Libraries are compared with the project's ranges and the tested set."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from gisearch.checkup.finding import State, examine
from gisearch.checkup.libraries import check_packages, check_python, check_scatter


def install(site: Path, name: str, version: str) -> None:
    """Make what an installation of a package leaves for others to read, before all others on the path."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_this_environment_is_as_asked_for() -> None:
    assert check_python()[0] is State.OK
    state, text = check_packages()
    assert state is not State.PROBLEM, text


def test_a_package_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "optuna", "3.6.1")
    monkeypatch.syspath_prepend(tmp_path)
    state, text = check_packages()
    assert state is State.PROBLEM
    assert (
        "optuna 3.6.1 is outside <6,>=5.0; run `python -m pip install --constraint constraints.txt .`" in text
    )


def test_another_version_than_the_tested_one(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("# The tested set.\nscipy==1.11.1\nunknown==1\n")
    state, text = check_packages(pins)
    assert state is State.NOTE
    assert text.startswith(f"scipy {metadata.version('scipy')} (tested with 1.11.1); should something be odd")


def test_a_package_that_is_missing() -> None:
    # Without the folders of the environment there is none of them.
    code = """
import sys
import packaging.requirements, packaging.specifiers
sys.path[:] = [p for p in sys.path if "site-packages" not in p]
from gisearch.checkup.libraries import check_packages
print(*check_packages())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("PROBLEM cobra is not installed, hydra-core is not installed, ")


def test_torch_scatter_of_another_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_scatter("no_such_module")[0] is State.OK
    (tmp_path / "damaged_scatter.py").write_text("import ctypes\nctypes.CDLL('/none/_scatter_cuda.so')\n")
    monkeypatch.syspath_prepend(tmp_path)
    state, text = check_scatter("damaged_scatter")
    assert state is State.NOTE
    assert "(/none/_scatter_cuda.so: cannot open shared object file" in text
    assert "python -m pip uninstall torch-scatter" in text


def test_what_cannot_be_imported_is_a_problem() -> None:
    def look() -> tuple[State, str]:
        import no_such_module  # noqa: F401

        return State.OK, ""

    found = examine("gpu", look)
    assert (found.check, found.state) == ("gpu", State.PROBLEM)
    assert found.text == "cannot be used (No module named 'no_such_module'); install the packages again."
