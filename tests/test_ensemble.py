"""From a sweep to a registered ensemble, as a user does it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gisearch import ensemble, predict
from gisearch.command_line import run
from gisearch.data.dataset import Dataset

REPOSITORY = Path(__file__).resolve().parent.parent
SETTINGS = ["data=demo_tiny", "search.trials=3", "trainer.max_epochs=2", "search.concurrency=1"]

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def ensembled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A tracked sweep of three trials with its ensemble; the working directory, and what was printed."""
    folder = tmp_path_factory.mktemp("ensembled")
    out = ""
    for command in (
        ["sweep", "dango_gi", "name=small", "model.hidden_dim=8", *SETTINGS],
        ["ensemble", "small"],
    ):
        out += python("-m", "gisearch", *command, folder=folder)
    return folder, out


def python(*arguments: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_what_is_printed(ensembled: tuple[Path, str]) -> None:
    _, out = ensembled
    assert "Ensemble: python -m gisearch.ensemble small\n" in out
    assert "Saved: results/small/ensemble\n" in out
    assert "Predict: python -m gisearch.predict small@ensemble genotypes.csv -o scores.csv\n" in out
    assert 'Load it in Python: mlflow.pyfunc.load_model("models:/small@ensemble")\n' in out
    assert "Report written: results/small/report.html" in out


def test_registered_beside_the_winner_and_usable_in_both_ways(
    ensembled: tuple[Path, str], tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = ensembled
    names = tiny_dataset.cell.names.systematic
    rows = [[names[3], names[5]], [names[2], names[9]], [names[30], names[31]]]
    table = folder / "genotypes.csv"
    table.write_text("\n".join(["gene1,gene2", *map(",".join, rows), ""]))
    monkeypatch.chdir(folder)
    assert run(predict.main, ["small@ensemble", str(table), "-o", "scores.csv"]) == 0
    with (folder / "scores.csv").open(newline="") as file:
        predicted = [(float(row["score"]), float(row["std"])) for row in csv.DictReader(file)]
    script = f"""
import json, mlflow, pandas as pd
mlflow.set_tracking_uri("sqlite:///mlflow.db")
table = pd.DataFrame({rows!r}, columns=["gene1", "gene2"])
found = mlflow.pyfunc.load_model("models:/small@ensemble").predict(table)
best = mlflow.pyfunc.load_model("models:/small@best").predict(table)
print(json.dumps([found[["score", "std"]].values.tolist(), list(best.columns)]))
"""
    loaded, best = json.loads(python("-c", script, folder=folder).splitlines()[-1])
    for one, other in zip(predicted, loaded, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-6)
    assert best == ["score"]
    found = json.loads((folder / "results" / "small" / "ensemble" / "ensemble.json").read_text())
    assert sum(one["weight"] for one in found["members"]) == pytest.approx(1.0)
    assert found["registered"] == "models:/small@ensemble"


def test_the_report_and_the_run_have_it(
    ensembled: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = ensembled
    page = (folder / "results" / "small" / "report.html").read_text()
    assert "python -m gisearch.predict small@ensemble" in page
    attached = list((folder / "mlartifacts").rglob("ensemble/ensemble.json"))
    assert len(attached) == 1
    # Another attempt finds it: nothing is made, and nothing is registered, twice.
    monkeypatch.chdir(folder)
    assert run(ensemble.main, ["small"]) == 0
    again = capsys.readouterr().out
    assert "shown again; the test split was evaluated once, then." in again
    assert 'mlflow.pyfunc.load_model("models:/small@ensemble")' in again
