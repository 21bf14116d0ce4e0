"""Python and the libraries, against what the project asks for and what it was tested with."""

from __future__ import annotations

import importlib
import importlib.util
import platform
from importlib import metadata
from pathlib import Path

import gisearch
from gisearch.checkup.finding import State

_CHECKOUT = Path(gisearch.__file__).resolve().parent.parent
_SHOWN = ("torch", "ray", "optuna", "mlflow")


def check_python() -> tuple[State, str]:
    """Compare the interpreter's version with the range that the project asks for."""
    from packaging.specifiers import SpecifierSet

    wanted, version = _asked_for()[0], platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return State.OK, f"Python {version}"
    return State.PROBLEM, (
        f"Python {version} is outside {wanted}; make an environment with another interpreter, as with "
        "`make sweep PYTHON=python3.11`."
    )


def check_packages(constraints: Path = _CHECKOUT / "constraints.txt") -> tuple[State, str]:
    """Compare the installed libraries with the project's ranges, and with the set that it was tested with.

    Args:
        constraints: the tested set; an installed wheel has none.
    """
    from packaging.requirements import Requirement

    wrong, versions = [], {}
    for requirement in map(Requirement, _asked_for()[1]):
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        versions[requirement.name] = version
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} is outside {requirement.specifier}")
    if wrong:
        pinned = "--constraint constraints.txt ." if constraints.is_file() else "--upgrade gisearch"
        return State.PROBLEM, f"{', '.join(wrong)}; run `python -m pip install {pinned}`."
    shown = ", ".join(f"{name} {versions[name]}" for name in _SHOWN if name in versions)
    tested = _tested(constraints)
    other = [
        f"{name} {version} (tested with {tested[name]})"
        for name, version in versions.items()
        if name in tested and version.partition("+")[0] != tested[name]
    ]
    if other:
        return State.NOTE, (
            f"{', '.join(other)}; should something be odd, run "
            "`python -m pip install --constraint constraints.txt .`."
        )
    return State.OK, f"{shown} and {len(versions) - shown.count(', ') - 1} more are as asked for"


def check_scatter(module: str = "torch_scatter") -> tuple[State, str]:
    """Say whether the optional torch-scatter works where it is installed."""
    if importlib.util.find_spec(module) is None:
        return State.OK, "torch-scatter is not installed, and nothing needs it"
    try:
        importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        said = str(error).strip().splitlines()
        return State.NOTE, (
            f"torch-scatter is installed for another PyTorch ({said[0] if said else type(error).__name__}); "
            "remove it (python -m pip uninstall torch-scatter), or install one that fits "
            "(docs/installation.md)."
        )
    return State.OK, "torch-scatter works"


def _asked_for() -> tuple[str, list[str]]:
    """Return the project's range of Python versions and its dependencies, without the optional ones."""
    from packaging.requirements import Requirement

    project = _CHECKOUT / "pyproject.toml"
    if project.is_file():
        import tomllib

        # What an earlier installation noted may be older than the checkout.
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        return table["requires-python"], table["dependencies"]
    noted = metadata.metadata("gisearch")
    needed = [
        text
        for text in metadata.requires("gisearch") or []
        if (marker := Requirement(text).marker) is None or marker.evaluate({"extra": ""})
    ]
    return noted["Requires-Python"], needed


def _tested(constraints: Path) -> dict[str, str]:
    if not constraints.is_file():
        return {}
    lines = constraints.read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if not line.startswith("#"))
    return {name.strip().lower(): version.strip() for name, separator, version in pins if separator}
