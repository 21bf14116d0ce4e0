from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from gisearch import predict, report, sweep, train
from gisearch.command_line import run
from gisearch.search.study import load_study

REPOSITORY = Path(__file__).resolve().parent.parent
SMALL = ["data=demo_tiny", "model.hidden_dim=16"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a sweep as a user would, in its own process group."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, "-m", "gisearch.sweep", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], timeout: float = 400) -> tuple[int, str, str]:
    """Wait for a sweep; one that hangs is ended with everything that it started."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def runs_of(folder: Path) -> tuple[Any, list[Any], Any]:
    """The MLflow parent run, its children by trial number, and the client."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("gisearch")
    everything = client.search_runs([experiment.experiment_id], max_results=100)
    parents = [r for r in everything if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1
    children = [r for r in everything if r.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(children) == len(everything) - 1
    return parents[0], sorted(children, key=lambda r: r.info.run_name), client


def plain(text: str) -> Any:
    """A parameter as MLflow keeps it, which is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.fixture(scope="module")
def trial_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One small sweep of the shipped space; the working directory, and what it printed."""
    folder = tmp_path_factory.mktemp("trial_run")
    overrides = ["search.trials=6", "trainer.max_epochs=6", "search.grace_epochs=2", "name=trial_run"]
    code, out, err = end(start(folder, "dango_gi", *SMALL, *overrides))
    assert code == 0, err
    return folder, out


@pytest.fixture
def there(trial_run: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where the small sweep was run."""
    monkeypatch.chdir(trial_run[0])
    return trial_run[0]


@pytest.mark.ray
@pytest.mark.slow
class TestShippedSpace:
    def test_says_what_it_found_and_how_to_go_on(self, trial_run: tuple[Path, str]) -> None:
        folder, out = trial_run
        assert re.search(
            r"6/6 trials, 0 running, \d stopped early, best val/pearson -?\d\.\d{4} \(t\d{4}\)", out
        )
        assert re.search(
            r"\nBest: t\d{4} with val/pearson = \d\.\d{4} \(noise ceiling of the data: 0\.\d+\)", out
        )
        assert "Saved: results/trial_run/best/config.yaml" in out
        assert "Report: python -m gisearch.report trial_run" in out
        assert "Browse: python -m gisearch.ui trial_run\n" in out
        names = {p.name for p in (folder / "results" / "trial_run").iterdir()}
        expected = {
            "best",
            "leaderboard.csv",
            "plots",
            "search_space.yaml",
            "study.journal",
            "sweep.yaml",
            "trials",
        }
        assert expected <= names
        assert "ray" not in names
        header, *rows = (folder / "results/trial_run/leaderboard.csv").read_text().splitlines()
        assert header.startswith("rank,trial_id,val/pearson,status,epochs,seconds,parameters,model.")
        assert sorted(row.split(",")[1] for row in rows) == [f"t{n:04d}" for n in range(6)]

    def test_the_baselines_come_first_as_written(self, trial_run: tuple[Path, str]) -> None:
        study = load_study(trial_run[0] / "results" / "trial_run")
        space = yaml.safe_load((REPOSITORY / "search_spaces" / "dango_gi.yaml").read_text())
        for trial, baseline in zip(study.trials, space["baselines"], strict=False):
            assert trial.user_attrs["assignment"].items() >= baseline.items()
            assert trial.user_attrs["baseline"] is True
        assert all("baseline" not in trial.user_attrs for trial in study.trials[len(space["baselines"]) :])

    def test_one_parent_run_with_a_child_per_trial(self, trial_run: tuple[Path, str]) -> None:
        folder = trial_run[0]
        parent, children, client = runs_of(folder)
        assert len(children) == 6
        study = load_study(folder / "results" / "trial_run")
        for trial, child in zip(study.trials, children, strict=True):
            assert child.info.run_name.startswith(f"t{trial.number:04d}")
            assert child.info.status == "FINISHED" or trial.state.name != "COMPLETE"
            epochs = trial.user_attrs["outcome"]["epochs"]
            history = client.get_metric_history(child.info.run_id, "val/pearson")
            assert [point.step for point in history] == list(range(1, epochs + 1))
            for path, value in trial.user_attrs["assignment"].items():
                expected = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
                assert plain(child.data.params[path]) == expected
        assert parent.info.run_name == "trial_run"
        assert parent.info.status == "FINISHED"

    def test_report_json(self, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(report.main, ["trial_run", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["metric"], found["mode"]) == ("val/pearson", "max")
        assert 0.5 < found["noise_ceiling"] <= 1.0
        assert len(found["trials"]) == 6
        assert {"trial_id", "value", "status", "epochs", "seconds", "params"} <= found["trials"][0].keys()
        values = [row["value"] for row in found["trials"]]
        assert values == sorted(values, reverse=True)
        assert found["best"]["value"] == values[0]
        assert found["best"]["config"]["model"]["hidden_dim"] == 16
        _, children, _ = runs_of(there)
        best = next(c for c in children if c.info.run_id == found["best"]["mlflow_run_id"])
        assert best.info.run_name.startswith(found["best"]["trial_id"])

    def test_report_text(self, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(report.main, ["trial_run", "--top", "3"]) == 0
        out = capsys.readouterr().out
        assert "Which choices mattered" in out
        assert "results/trial_run/plots/learning_curves.png" in out

    def test_the_best_configuration_trains_to_the_same_value(
        self, there: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        best = there / "results" / "trial_run" / "best"
        assert run(train.main, ["--config", str(best / "config.yaml"), "name=again"]) == 0
        out = capsys.readouterr().out
        found = re.search(r"best val/pearson = (\S+) at epoch", out)
        assert found is not None
        assert run(report.main, ["trial_run", "--json"]) == 0
        value = json.loads(capsys.readouterr().out)["best"]["value"]
        assert float(found[1]) == pytest.approx(value, abs=1e-3)
        assert (there / "results" / "again" / "best.pt").is_file()

    def test_predict_with_the_best_trial(
        self, there: Path, tiny_dataset: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = tiny_dataset.cell.names
        table = there / "genotypes.csv"
        first = names.label(0)
        table.write_text(
            f"gene1,gene2,gene3,note\n{first},{names.label(1)},,standard\n{names.systematic[0]},,,x\n"
        )
        assert run(predict.main, ["trial_run", str(table), "-o", "scores.csv"]) == 0
        lines = (there / "scores.csv").read_text().splitlines()
        assert lines[0] == "gene1,gene2,gene3,note,score"
        assert lines[1].startswith(f"{first},{names.label(1)},,standard,")
        float(lines[1].rpartition(",")[2])
        assert "2 genotypes scored by results/trial_run/best: scores.csv" in capsys.readouterr().err


CHOICES = """
name: choices
base: [model=dango_gi, data=demo_tiny]
objective: {metric: val/rmse}
space:
  optimizer.lr: [3.0e-3, 5.0e-3, 1.0e-9]
  trainer.device: [cpu, cuda]
baselines:
  - {optimizer.lr: 3.0e-3, trainer.device: cpu}
  - {optimizer.lr: 5.0e-3, trainer.device: cpu}
  - {optimizer.lr: 1.0e-9, trainer.device: cpu}
  - {optimizer.lr: 3.0e-3, trainer.device: cuda}
  - {optimizer.lr: 3.0e-3, trainer.device: cpu}
search: {trials: 5, concurrency: 1, grace_epochs: 4, reduction_factor: 2}
"""


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A sweep with a hopeless choice, and one that fails on a machine without a GPU."""
    folder = tmp_path_factory.mktemp("choices")
    (folder / "choices.yaml").write_text(CHOICES)
    settings = ["model.hidden_dim=16", "trainer.max_epochs=12", "trainer.batch_size=16"]
    code, out, err = end(start(folder, "choices.yaml", *settings))
    assert code == 0, err
    return folder, out


@pytest.mark.ray
@pytest.mark.slow
class TestOutcomes:
    def test_a_hopeless_trial_is_stopped_early(self, choices: tuple[Path, str]) -> None:
        trial = load_study(choices[0] / "results" / "choices").trials[2]
        assert trial.state.name == "PRUNED"
        assert trial.user_attrs["outcome"]["status"] == "stopped_early"
        assert trial.last_step == 4
        _, children, _ = runs_of(choices[0])
        assert len(children) >= 4

    def test_a_trial_that_fails_says_why_and_the_sweep_goes_on(self, choices: tuple[Path, str]) -> None:
        folder, out = choices
        study = load_study(folder / "results" / "choices")
        trial = study.trials[3]
        assert trial.state.name == "FAIL"
        assert "cuda" in trial.user_attrs["outcome"]["reason"]
        assert "trial t0003 failed: " in out
        assert "duplicate_of" in study.trials[4].user_attrs
        assert study.trials[4].value == study.trials[0].value
        _, children, _ = runs_of(folder)
        assert Counter(c.info.status for c in children)["FAILED"] == len(
            [t for t in study.trials if t.state.name == "FAIL" and "duplicate_of" not in t.user_attrs]
        )


class TestBadInput:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def failing(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        assert run(sweep.main, list(arguments)) == 2
        assert not Path("results").exists()
        return capsys.readouterr().err

    def test_dry_run_starts_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(sweep.main, ["dango_gi", *SMALL, "--dry-run"]) == 0
        out = capsys.readouterr().out
        assert "dry run: nothing was started." in out
        assert "model.combination" in out
        assert re.search(r"configurations +infinitely many", out)
        assert re.search(r"trials +16", out)
        assert list(tmp_path.iterdir()) == []

    def test_unknown_key(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        message = self.failing(capsys, "dango_gi", "model.hiden_dim=16")
        assert (
            message
            == "error: unknown key 'model.hiden_dim' on the command line. Did you mean 'hidden_dim'?\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_missing_data_root(self, capsys: pytest.CaptureFixture[str]) -> None:
        message = self.failing(
            capsys, "dango_gi", "data=yeast", "data.root=nowhere", "tracking.enabled=false"
        )
        assert message.startswith("error: ")
        assert "nowhere" in message
        assert message.count("\n") == 1

    def test_a_data_root_is_required(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.failing(capsys, "dango_gi", "data=yeast").startswith("error: data.root: a ")

    def test_unreachable_mlflow_server(self, capsys: pytest.CaptureFixture[str]) -> None:
        message = self.failing(
            capsys, "dango_gi", *SMALL, "tracking.uri=http://127.0.0.1:9", "tracking.timeout=1"
        )
        assert "http://127.0.0.1:9" in message
        assert message.count("\n") == 1

    def test_results_folder_below_a_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "file").write_text("")
        arguments = ("dango_gi", *SMALL, "results.dir=file/below", "tracking.enabled=false")
        message = self.failing(capsys, *arguments)
        assert message == "error: results.dir: cannot write to file/below: Not a directory.\n"

    def test_no_space_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        message = self.failing(capsys, "dango_gy.yaml")
        assert message.startswith("error: no search-space file 'dango_gy.yaml'; shipped with gisearch: ")
        assert message.endswith(" Did you mean 'dango_gi'?\n")

    def test_a_space_is_required(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            sweep.main(["data=demo"])
        assert ended.value.code == 2
        assert (
            "a search-space file is required, such as search_spaces/dango_gi.yaml" in capsys.readouterr().err
        )

    def test_resume_of_an_unknown_sweep(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert (
            self.failing(capsys, "--resume", "x")
            == "error: no results called 'x' in results/ (it has: none).\n"
        )
        (tmp_path / "results" / "first_try").mkdir(parents=True)
        assert run(sweep.main, ["--resume", "first_tri"]) == 2
        assert capsys.readouterr().err.endswith("(it has: first_try). Did you mean 'first_try'?\n")
        assert run(sweep.main, ["--resume", "first_try"]) == 2
        assert capsys.readouterr().err == "error: results/first_try holds no sweep: it has no sweep.yaml.\n"


@pytest.mark.ray
@pytest.mark.slow
class TestContinue:
    """What a scheduler that starts a job again says every time."""

    GIVEN = ("dango_gi", *SMALL, "search.trials=6", "trainer.max_epochs=6", "search.grace_epochs=2")

    def test_nothing_is_there_yet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(sweep.main, ["--continue", *self.GIVEN, "name=trial_run", "--dry-run"]) == 0

    def test_a_sweep_that_has_ended_is_left_as_it_is(self, there: Path) -> None:
        before = (there / "results" / "trial_run" / "leaderboard.csv").read_bytes()
        code, out, err = end(start(there, "--continue", *self.GIVEN, "name=trial_run"))
        assert code == 0, err
        assert "6 trials: " in out
        assert (there / "results" / "trial_run" / "leaderboard.csv").read_bytes() == before

    def test_another_sweep_of_that_name(self, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(sweep.main, ["--continue", *self.GIVEN, "name=trial_run", "model.hidden_dim=24"]) == 2
        assert capsys.readouterr().err == (
            "error: --continue: results/trial_run was begun with other overrides (model.hidden_dim=24); "
            "expected the same ones, or another name=NAME.\n"
        )
        assert run(sweep.main, ["--continue", "dango", "name=trial_run"]) == 2
        assert "was begun with another search space" in capsys.readouterr().err

    def test_the_space_is_required(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            sweep.main(["--continue", "--resume", "x"])
        assert ended.value.code == 2
        assert "--continue needs the search-space file" in capsys.readouterr().err
