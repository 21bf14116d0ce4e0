from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gisearch import ablate, confirm
from gisearch.command_line import run

REPOSITORY = Path(__file__).resolve().parent.parent
SPACE = """
name: trees
base: [model=boosted_trees, data=demo_tiny, trainer.max_epochs=3]
space:
  model.max_leaf_nodes: [4, 8]
  model.learning_rate: {float: [0.03, 0.3], log: true}
baselines: [{model.max_leaf_nodes: 8, model.learning_rate: 0.1}]
search: {trials: 2, scheduler: none}
tracking: {enabled: false}
"""


def test_wrong_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep_a").mkdir()
    root = ["--results-dir", str(tmp_path)]
    assert run(confirm.main, ["sweep_b", *root]) == 2
    assert capsys.readouterr().err.endswith("(it has: sweep_a). Did you mean 'sweep_a'?\n")
    assert run(confirm.main, ["sweep_a", *root]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/sweep_a holds no sweep: it has no sweep.yaml.\n"
    for option, low in (("--seeds", 1), ("--top", 1), ("--splits", 0)):
        assert run(confirm.main, ["sweep_a", option, str(low - 1), *root]) == 2
        error = capsys.readouterr().err
        assert error == f"error: {option}: expected a number of at least {low}, got {low - 1}.\n"


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A sweep of two trials, confirmed as a user would; the working directory, and what was printed."""
    folder = tmp_path_factory.mktemp("confirmed")
    (folder / "trees.yaml").write_text(SPACE)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
    out = ""
    for command in (
        ["gisearch.sweep", "trees.yaml"],
        ["gisearch.confirm", "trees", "--top", "1", "--seeds", "2"],
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        out = ended.stdout
    return folder, out


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1200)
class TestForReal:
    def test_a_sweep_is_confirmed(self, confirmed: tuple[Path, str]) -> None:
        folder, out = confirmed
        found = json.loads((folder / "results/trees/answers/confirmation.json").read_text())
        assert {len(one["runs"]) for one in found["candidates"]} == {2}
        assert all(run["test"] is not None for one in found["candidates"] for run in one["runs"])
        assert found["sweeps"] == ["trees_confirm"]
        assert (folder / "results" / "trees_confirm" / "leaderboard.csv").is_file()
        assert "trees: confirmation" in out
        assert "Saved: results/trees/answers/confirmation.json" in out
        assert "Report written: results/trees/report.html\n" in out

    def test_the_next_questions(
        self, confirmed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(confirmed[0])
        # A comparison is a sweep too; one of its seeds is no choice.
        assert run(ablate.main, ["trees_confirm", "--choice", "seed", "--dry-run"]) == 2
        assert "--choice: seed is equal for all trials" in capsys.readouterr().err
        assert run(ablate.main, ["trees", "--choice", "model.max_leaf_node", "--dry-run"]) == 2
        assert "Did you mean 'model.max_leaf_nodes'?" in capsys.readouterr().err
        assert run(ablate.main, ["trees", "--choice", "model.max_leaf_nodes", "--dry-run"]) == 0
        assert "trainings      10 (2 candidates x 5 seeds)" in capsys.readouterr().out
        assert {p.name for p in Path("results").iterdir()} == {"trees", "trees_confirm"}
