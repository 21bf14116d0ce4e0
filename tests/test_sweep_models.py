"""A sweep in which the model itself is a choice, end to end."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gisearch import predict, report, train
from gisearch.command_line import run

REPOSITORY = Path(__file__).resolve().parent.parent

SPACE = """
name: models
base: [model=dango_gi, data=demo_tiny, trainer.max_epochs=6, model.encoder.num_layers=1]
space:
  model.name: [dango_gi, bilinear, boosted_trees]
  model.hidden_dim: [16, 32]
  model.rank: [2, 4]
  model.trees_per_epoch: [2, 4]
  optimizer.lr: {float: [1.0e-3, 1.0e-2], log: true, when: {model.name: [dango_gi, bilinear]}}
baselines:
  - {model.name: boosted_trees, model.trees_per_epoch: 4}
  - {model.name: bilinear, model.rank: 4}
  - {model.name: dango_gi, model.hidden_dim: 32}
search: {trials: 6, scheduler: none}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a sweep over three models was run."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "models.yaml").write_text(SPACE)
    done = subprocess.run(
        [sys.executable, "-m", "gisearch.sweep", "models.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    # Whatever the width, the table says which model it was.
    header = next(line for line in done.stdout.splitlines() if "val/pearson" in line and "status" in line)
    assert "model" in header
    return folder


@pytest.mark.ray
@pytest.mark.slow
class TestModels:
    def test_the_leaderboard_has_every_model_with_its_own_keys(self, folder: Path) -> None:
        with (folder / "results" / "models" / "leaderboard.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["model.name"] for row in rows} == {"dango_gi", "bilinear", "boosted_trees"}
        own = {"dango_gi": "model.hidden_dim", "bilinear": "model.rank"}
        own["boosted_trees"] = "model.trees_per_epoch"
        for row in rows:
            assert [key for key in own.values() if row[key]] == [own[row["model.name"]]]
            assert bool(row["optimizer.lr"]) == (row["model.name"] != "boosted_trees")
            assert row["status"] in ("finished", "reused")
            assert int(row["parameters"]) > 0

    def test_every_trial_is_tracked_with_its_models_parameters(self, folder: Path) -> None:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("gisearch")
        runs = client.search_runs([experiment.experiment_id])
        (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
        assert not any(key.startswith("model.") for key in parent.data.params), "no model is the sweep's"
        assert parent.data.params["trainer.max_epochs"] == "6"
        found = {r.data.params["model.name"]: set(r.data.params) for r in runs if r is not parent}
        assert set(found) == {"dango_gi", "bilinear", "boosted_trees"}
        assert "model.rank" in found["bilinear"]
        assert "model.rank" not in found["dango_gi"]

    def test_the_winner_is_reported_trained_again_and_predicts(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(folder)
        assert run(report.main, ["models", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        best = found["best"]
        assert best["config"]["model"]["name"] == found["trials"][0]["params"]["model.name"]
        assert run(report.main, ["models"]) == 0
        assert "Which choices mattered" in capsys.readouterr().out
        assert run(train.main, ["--config", "results/models/best/config.yaml", "name=again"]) == 0
        assert f"best val/pearson = {best['value']:.4f} at epoch" in capsys.readouterr().out
        with (folder / "results/models/best/predictions.csv").open() as file:
            first = next(csv.DictReader(file))
        genes = ",".join(first[f"gene{i}"] for i in (1, 2, 3))
        (folder / "genotypes.csv").write_text(f"gene1,gene2,gene3\n{genes}\n")
        assert run(predict.main, ["models", "genotypes.csv", "-o", "scores.csv"]) == 0
        score = (folder / "scores.csv").read_text().splitlines()[1].split(",")[3]
        assert float(score) == pytest.approx(float(first["score"]), abs=1e-5)
