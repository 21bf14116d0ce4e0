from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from gisearch.errors import ConfigError
from gisearch.search.compilation import compile_space
from gisearch.search.config import SearchConfig
from gisearch.search.effects import omega_squared, parameter_effects
from gisearch.search.folders import find_results, numbered_folder, read_runs, write_runs
from gisearch.search.housekeeping import Housekeeper
from gisearch.search.ledger import Ledger, Outcome
from gisearch.search.presentation import leaderboard, print_effects, print_results, resume_hint, short_names
from gisearch.search.progress import ProgressView
from gisearch.search.results import SweepResults, TrialRow, load_results
from gisearch.search.runs import find_model
from gisearch.search.study import open_study
from gisearch.search.sweep import best_so_far
from gisearch.training.objective import Objective


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep of six trials: two finished, one stopped early, one failed, one reused, one running."""
    folder = tmp_path / "results" / "study"
    folder.mkdir(parents=True)
    base = {"model.kind": "a", "model.depth": 1, "lr": 0.1}
    spec: dict[str, Any] = {"model.kind": ["a", "b"], "lr": {"float": [0, 1]}}
    spec["model.depth"] = {"int": [1, 4], "when": {"model.kind": "a"}}
    space, _ = compile_space(spec, base, lambda key, message: ConfigError(message))
    a, b = {"model.kind": "a", "model.depth": 2}, {"model.kind": "b"}
    baselines = tuple(
        {**v, "lr": lr} for v, lr in ((a, 0.1), (b, 0.2), (b, 0.3), (a, 0.4), (b, 0.2), (a, 0.6))
    )
    study = open_study(folder, "study", Objective("val/pearson", "max"))
    ledger = Ledger(study, space, SearchConfig(trials=5), baselines=baselines)
    while (handout := ledger.next()) is not None:
        ledger.report(handout.number, 1, 0.1 * (handout.number + 1))
        config = folder / "trials" / f"t{handout.number:04d}" / "config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(yaml.safe_dump({"number": handout.number}))
    ledger.finish(0, Outcome("finished", 0.1, None, {"epochs": 4, "seconds": 1.23456, "best_epoch": 1}))
    ledger.finish(1, Outcome("finished", 0.9, None, {"epochs": 4, "seconds": 2.0}))
    ledger.finish(2, Outcome("stopped_early", 0.3, None, {"epochs": 1}))
    ledger.finish(3, Outcome("failed", 0.4, "it broke", {"epochs": 1}))
    facts = {"name": "study", "metric": "val/pearson", "noise_ceiling": 0.95, "tracking": {"enabled": False}}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(facts))
    write_runs(folder, "parent", {1: "run_of_1"})
    return folder


class TestResults:
    def test_a_folder_by_another_name_is_the_same_sweep(self, folder: Path) -> None:
        moved = folder.rename(folder.with_name("moved"))
        assert len(open_study(moved, "moved", Objective("val/pearson", "max")).get_trials()) == 6
        (link := folder.with_name("link")).symlink_to(moved)
        assert len(open_study(link, link.name, Objective("val/pearson", "max")).get_trials()) == 6
        results = load_results(moved)
        assert len(results.rows) == 6
        assert results.handle == str(moved)

    def test_rows_are_sorted(self, folder: Path) -> None:
        results = load_results(folder)
        assert [(r.trial_id, r.value, r.status) for r in results.rows] == [
            ("t0001", 0.9, "finished"),
            ("t0004", 0.9, "reused"),
            ("t0005", pytest.approx(0.6), "running"),
            ("t0002", pytest.approx(0.3), "stopped_early"),
            ("t0000", 0.1, "finished"),
            ("t0003", None, "failed"),
        ]
        assert results.rows[-1].reason == "it broke"
        assert results.best is results.rows[0]
        assert (results.count("finished"), results.count("reused")) == (2, 1)
        assert results.rows[1].epochs == 0
        assert results.rows[1].seconds == 0.0
        assert results.config_of(results.rows[1]) == {"number": 1}
        assert results.tracking.enabled is False

    def test_json(self, folder: Path) -> None:
        found = json.loads(json.dumps(load_results(folder).as_json()))
        assert list(found) == ["name", "metric", "mode", "best", "noise_ceiling", "trials"]
        assert found["best"] == {
            "trial_id": "t0001",
            "value": 0.9,
            "config": {"number": 1},
            "mlflow_run_id": "run_of_1",
        }
        assert found["noise_ceiling"] == 0.95
        assert found["mode"] == "max"
        assert found["trials"][4] == {
            "trial_id": "t0000",
            "value": 0.1,
            "status": "finished",
            "epochs": 4,
            "seconds": 1.235,
            "params": {"model.kind": "a", "model.depth": 2, "lr": 0.1},
        }
        assert found["trials"][5]["reason"] == "it broke"

    def test_a_smaller_value_can_be_better(self, tmp_path: Path) -> None:
        study = open_study(tmp_path, "s", Objective("val/rmse", "min"))
        space, _ = compile_space({"x": [1, 2, 3]}, {"x": 1}, lambda key, message: ConfigError(message))
        ledger = Ledger(study, space, SearchConfig(trials=3))
        while (handout := ledger.next()) is not None:
            ledger.finish(handout.number, Outcome("finished", float(handout.assignment["x"])))
        (tmp_path / "sweep.yaml").write_text("{name: s, metric: val/rmse}")
        results = load_results(tmp_path)
        assert results.mode == "min"
        assert [row.value for row in results.rows if row.status != "reused"] == [1.0, 2.0, 3.0]
        assert results.noise_ceiling is None

    def test_a_trial_that_was_never_handed_out_is_no_row(self, folder: Path) -> None:
        study = open_study(folder, "study", Objective("val/pearson", "max"))
        study.ask()
        assert len(load_results(folder).rows) == 6

    def test_damaged_folders(self, tmp_path: Path, folder: Path) -> None:
        with pytest.raises(ConfigError, match=r"holds no sweep: it has no sweep\.yaml\.$"):
            load_results(tmp_path)
        for text in ("[", "- a", ""):
            (folder / "sweep.yaml").write_text(text)
            with pytest.raises(ConfigError, match=r"sweep\.yaml is damaged: expected a mapping\.$"):
                load_results(folder)
        (folder / "mlflow_runs.json").write_text("{")
        assert read_runs(folder) == {"parent": None, "model": None, "children": {}}

    def test_folders_by_name(self, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = str(tmp_path / "results")
        assert find_results("study", root) == find_results(str(folder), "nowhere") == folder
        with pytest.raises(
            ConfigError, match=r"no results called 'stud' in .* \(it has: study\)\. Did you mean 'study'\?$"
        ):
            find_results("stud", root)
        monkeypatch.chdir(folder)
        assert find_results(".", root) == find_results(".", str(folder)) == folder
        monkeypatch.setenv("HOME", str(tmp_path))
        assert find_results("~/results/study", "nowhere") == folder
        assert [numbered_folder(root, "new").name for _ in range(3)] == ["new", "new-2", "new-3"]
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match=r"^results.dir: cannot write to .*/file/x: Not a directory\.$"):
            numbered_folder(str(tmp_path / "file" / "x"), "new")
        with pytest.raises(ConfigError, match=r"^results.dir: cannot write to .*/file: File exists\.$"):
            numbered_folder(str(tmp_path / "file"), "new")


def rows_of(values: list[tuple[dict[str, Any], float | None, str]]) -> SweepResults:
    rows = tuple(
        TrialRow(i, value, status, 1, 1.0, params) for i, (params, value, status) in enumerate(values)
    )
    return SweepResults("s", Path("s"), "val/pearson", "max", rows)


class TestBestSoFar:
    def test_a_resumed_sweep_begins_with_the_best_that_was_reached(self, folder: Path) -> None:
        study = open_study(folder, "study", Objective("val/pearson", "max"))
        # t0005 runs: it counts. t0003 failed, and its 0.4 does not.
        ended = [trial for trial in study.get_trials() if "duplicate_of" not in trial.user_attrs]
        best = best_so_far(ended, Objective("val/pearson", "max"))
        assert best is not None
        assert best[1] == 5
        view = ProgressView(Console(file=io.StringIO(), width=200), Objective("val/pearson", "max"), 6, 4)
        view.best = best
        assert f"best val/pearson {best[0]:.4f} (t0005)" in view.line()
        assert best_so_far([], Objective("val/pearson", "max")) is None


class TestEffects:
    def test_omega_squared_by_hand(self) -> None:
        # Between 6, within 4, total 10 with 1 and 4 degrees of freedom: (6 - 1) / (10 + 1).
        assert omega_squared({"a": [1, 2, 3], "b": [3, 4, 5]}) == pytest.approx((6 - 1) / (10 + 1))
        assert omega_squared({"a": [0.0, 0.0], "b": [1.0, 1.0]}) == pytest.approx(1.0)
        assert omega_squared({"a": [1, 2, 3], "b": [1, 2, 3]}) == 0.0
        assert omega_squared({"a": [1, 2]}) == 0.0
        assert omega_squared({"a": [1], "b": [2]}) == 0.0
        assert omega_squared({"a": [1, 1], "b": [1]}) == 0.0

    def test_a_conditional_parameter_counts_where_it_exists(self) -> None:
        trials: list[tuple[dict[str, Any], float | None, str]] = [
            ({"on": True, "depth": 1}, 0.8, "finished"),
            ({"on": True, "depth": 1}, 0.9, "finished"),
            ({"on": True, "depth": 2}, 0.5, "stopped_early"),
            ({"on": True, "depth": 2}, 0.4, "finished"),
            ({"on": False}, 0.1, "finished"),
            ({"on": False}, 0.2, "finished"),
            ({"on": False}, None, "failed"),
            ({"on": True, "depth": 1}, 0.9, "reused"),
        ]
        effects = {effect.path: effect for effect in parameter_effects(rows_of(trials))}
        depth = effects["depth"]
        assert [(v.label, v.trials, v.median, v.best) for v in depth.values] == [
            ("1", 2, pytest.approx(0.85), 0.9),
            ("2", 2, pytest.approx(0.45), 0.5),
        ]
        assert depth.explained == pytest.approx(omega_squared({"1": [0.8, 0.9], "2": [0.5, 0.4]}))
        assert [(v.label, v.trials) for v in effects["on"].values] == [("on", 4), ("off", 2)]

    def test_many_numbers_are_put_in_thirds(self) -> None:
        effect = parameter_effects(rows_of([({"lr": i / 10}, i / 10, "finished") for i in range(1, 10)]))[0]
        assert [value.trials for value in effect.values] == [3, 3, 3]
        assert effect.values[0].best == 0.9


class TestHousekeeping:
    def keeper(self, folder: Path, mode: Any = "max", **search: int) -> Housekeeper:
        study = open_study(folder, "study", Objective("m", mode))
        plan: Any = SimpleNamespace(config=SimpleNamespace(search=SearchConfig(**search or {"keep_top": 2})))
        return Housekeeper(folder, plan, study)

    def touch(self, folder: Path, *numbers: int) -> None:
        for number in numbers:
            path = folder / "trials" / f"t{number:04d}"
            path.mkdir(parents=True, exist_ok=True)
            for name in ("best.pt", "last.pt", "last.pt.previous", "config.yaml"):
                (path / name).touch()

    def left(self, folder: Path) -> list[str]:
        assert all((path / "config.yaml").exists() for path in (folder / "trials").iterdir())
        return sorted({path.parent.name for path in (folder / "trials").glob("*/*.pt*")})

    @pytest.mark.parametrize(("mode", "expected"), [("max", ["t0001", "t0003"]), ("min", ["t0000", "t0002"])])
    def test_the_best_are_kept(self, tmp_path: Path, mode: str, expected: list[str]) -> None:
        self.touch(tmp_path, *range(5))
        keeper = self.keeper(tmp_path, mode=mode)
        for number, value in enumerate([0.1, 0.8, 0.2, 0.8, 0.8]):
            keeper.on_end(number, Outcome("finished", value))
        assert self.left(tmp_path) == expected

    @pytest.mark.parametrize(
        ("search", "kept"),
        [
            ({"keep_top": 4}, 4),
            ({"keep_checkpoints": 3}, 3),
            ({"keep_top": 8, "keep_checkpoints": 3}, 3),
            ({"trials": 16}, 10),
        ],
    )
    def test_how_many(self, tmp_path: Path, search: dict[str, int], kept: int) -> None:
        """The earlier name still holds; without either the ten best are there for an ensemble."""
        self.touch(tmp_path, *range(12))
        keeper = self.keeper(tmp_path, **search)
        for number in range(12):
            status = "stopped_early" if number % 2 else "finished"
            keeper.on_end(number, Outcome(status, number / 100))  # type: ignore[arg-type]
        assert self.left(tmp_path) == [f"t{number:04d}" for number in range(12 - kept, 12)]

    def test_failed_trials_are_not(self, tmp_path: Path) -> None:
        self.touch(tmp_path, 0, 1)
        keeper = self.keeper(tmp_path)
        keeper.on_end(0, Outcome("failed", 0.9, "x"))
        keeper.on_end(1, Outcome("stopped_early", 0.1))
        assert self.left(tmp_path) == ["t0001"]

    def test_a_continued_sweep_remembers(self, folder: Path) -> None:
        self.touch(folder, *range(6))
        self.keeper(folder)
        # The failed trial reached a value, and takes nobody's place; running ones are nobody's business.
        assert self.left(folder) == ["t0001", "t0002", "t0004", "t0005"]


class TestPresentation:
    def test_a_sweep_elsewhere_is_named_by_its_folder(self, folder: Path) -> None:
        moved = folder.parent.parent / "elsewhere" / "study"
        moved.parent.mkdir()
        folder.rename(moved)
        text = self.shown(load_results(moved)).replace("\n", "")
        assert f"Report: python -m gisearch.report {moved}" in text

    def test_short_names(self) -> None:
        assert short_names(["a.b.lr", "c.lr", "c.x", "m.local_predictor.enabled", "lr"]) == {
            "a.b.lr": "b.lr",
            "c.lr": "c.lr",
            "c.x": "x",
            "m.local_predictor.enabled": "local_predictor",
            "lr": "lr",
        }

    def shown(self, results: SweepResults) -> str:
        console = Console(width=120, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
        print_results(results, results.tracking, console)
        print_effects(results, console)
        return console.export_text()

    def test_results(self, folder: Path) -> None:
        text = self.shown(load_results(folder))
        assert (
            "6 trials: 2 finished, 1 stopped early, 1 reused an identical configuration's result, 1 failed"
            in text
        )
        assert "Best: t0001 with val/pearson = 0.9000 (noise ceiling of the data: 0.9500)" in text
        assert '  model.kind: "b"\n' in text
        assert f"Report: python -m gisearch.report {folder}\n" in text
        assert f"Ensemble: python -m gisearch.ensemble {folder}\n" in text
        assert "Browse" not in text
        assert "Which choices mattered" in text

    def test_nothing_finished(self) -> None:
        text = self.shown(rows_of([({"a": 1}, None, "failed")]))
        assert "No trial finished an epoch; the reasons are in the table." in text
        assert "Which choices mattered" not in text

    def test_a_wide_terminal_gets_one_table(self) -> None:
        results = rows_of([({"a": True, "b": 0.12345}, 0.5, "finished"), ({"a": False}, None, "failed")])
        wide, narrow = leaderboard(results, 10, 200), leaderboard(results, 10, 60)
        assert (len(wide), len(narrow)) == (1, 2)
        assert [list(column.cells) for column in wide[0].columns][-2:] == [["on", "off"], ["0.123", "-"]]
        assert wide[0].row_count == 2
        assert leaderboard(results, 1, 200)[0].row_count == 1

    def test_how_to_resume(self) -> None:
        results = rows_of([])
        assert resume_hint(results) == "Interrupted; continue with: python -m gisearch.sweep --resume s"
        assert resume_hint(replace(results, folder=Path("/x y/s"))).endswith("--resume '/x y/s'")


class TestRunsOfMLflow:
    """What MLflow's page shows of a run is a name for the commands."""

    SWEEP, TRIAL, OTHER = "0" * 31 + "a", "0" * 31 + "b", "0" * 31 + "c"

    @pytest.fixture
    def results_dir(self, tmp_path: Path) -> Path:
        for name, parent, children in (
            ("first", "f" * 32, {0: "e" * 32}),
            ("second", self.SWEEP, {3: self.TRIAL, 11: self.OTHER}),
        ):
            write_runs_in(tmp_path / name, parent, children)
        for folder in ("best", "trials/t0003"):
            (tmp_path / "second" / folder).mkdir(parents=True)
            (tmp_path / "second" / folder / "best.pt").touch()
        return tmp_path

    def test_a_sweep_and_its_trials_are_found(self, results_dir: Path) -> None:
        second = results_dir / "second"
        assert find_results(self.SWEEP, str(results_dir)) == second
        assert find_results(self.TRIAL, str(results_dir)) == second
        assert find_model(self.SWEEP, str(results_dir)) == second / "best"
        assert find_model(self.TRIAL, str(results_dir)) == second / "trials" / "t0003"

    def test_a_trial_without_a_model_says_so(self, results_dir: Path) -> None:
        with pytest.raises(ConfigError, match=r"second/trials/t0011 holds no trained model \(best\.pt\)"):
            find_model(self.OTHER, str(results_dir))

    def test_an_unknown_run_is_one_sentence(self, results_dir: Path) -> None:
        for find in (find_results, find_model):
            with pytest.raises(ConfigError, match=r"has recorded the MLflow run 9{32}; run this in"):
                find("9" * 32, str(results_dir))

    def test_a_folder_with_such_a_name_comes_first(self, results_dir: Path) -> None:
        folder = results_dir / self.SWEEP
        folder.mkdir()
        assert find_results(self.SWEEP, str(results_dir)) == folder


def write_runs_in(folder: Path, parent: str, children: dict[int, str]) -> None:
    folder.mkdir()
    write_runs(folder, parent, children)
