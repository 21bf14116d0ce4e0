"""What commands and sweeps import before they need it: seconds that everybody would wait for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("cobra", "matplotlib", "mlflow", "pandas", "ray", "scipy", "sklearn", "sqlalchemy", "sympy", "torch")


def imported(code: str, folder: Path) -> set[str]:
    """Run a program in a process of its own; return the heavy packages that it has imported."""
    tell = f"import sys; print('imported', *(name for name in {HEAVY!r} if name in sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return set(found.stdout.splitlines()[-1].split()[1:])


def test_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    assert imported("import gisearch, gisearch.__main__, gisearch.sweep", tmp_path) == set()


@pytest.mark.parametrize("space", ["dango_gi", "all_models", "strongest"])
def test_a_space_is_checked_without_pytorch(space: str, tmp_path: Path) -> None:
    code = f"from gisearch.sweep import main\nmain([{space!r}, '--dry-run'])"
    assert imported(code, tmp_path) == set()


def test_a_driver_draws_and_tracks_later(tmp_path: Path) -> None:
    """What a sweep has imported when Ray is started; all but matplotlib comes beside that."""
    found = imported("import gisearch.search.sweep, gisearch.search.disk", tmp_path)
    assert found == set()


def test_a_trial_imports_what_it_trains_with(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from gisearch.config import to_plain
from gisearch.data.load import load_dataset
from gisearch.search.composing import compose_experiment
from gisearch.search.job import run_job
keys = ["model=dango_gi", "data=demo_tiny", "model.hidden_dim=8", "trainer.max_epochs=1"]
experiment = compose_experiment(keys)[0]
job = {"experiment": to_plain(experiment), "folder": "trial", "adopt": None, "leg": 0}
run_job(job, load_dataset(experiment.data), lambda _: None, lambda _: None)
"""
    found = imported(code, tmp_path)
    assert "torch" in found
    assert found.isdisjoint({"matplotlib", "mlflow", "pandas", "scipy", "sklearn", "sympy"})
