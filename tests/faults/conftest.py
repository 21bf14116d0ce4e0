"""Sweeps that are ended with everything they started, whatever a test did to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.sweeps import Sweep


@pytest.fixture
def sweep(tmp_path: Path, empty_database: Path) -> Iterator[Sweep]:
    """A sweep that has not been started yet."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    made = Sweep(tmp_path)
    yield made
    _clean_up(made)


@pytest.fixture(scope="module")
def shared_sweep(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Iterator[Callable[[str], Sweep]]:
    """Make sweeps that the tests of one file look at together."""
    made: list[Sweep] = []

    def make(name: str) -> Sweep:
        folder = tmp_path_factory.mktemp(name)
        shutil.copy(empty_database, folder / "mlflow.db")
        made.append(Sweep(folder, name))
        return made[-1]

    yield make
    for one in made:
        _clean_up(one)


def _clean_up(sweep: Sweep) -> None:
    if sweep.process is not None and sweep.process.poll() is None:
        sweep.kill()
