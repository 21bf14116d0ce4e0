"""A search for the best score at the lowest cost: study, front, results, checkpoints, tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from optuna.trial import TrialState
from rich.console import Console

from gisearch.errors import ConfigError
from gisearch.search.compilation import compile_space
from gisearch.search.conclusion import draw, save_front, write_leaderboard
from gisearch.search.config import SearchConfig
from gisearch.search.housekeeping import Housekeeper
from gisearch.search.ledger import Handout, Ledger, Outcome
from gisearch.search.pareto import measured_cost, pareto_front
from gisearch.search.plan import SweepPlan
from gisearch.search.presentation import pareto_table, print_plan, print_results
from gisearch.search.recorder import Recorder
from gisearch.search.results import load_results
from gisearch.search.study import open_study
from gisearch.tracking.records import TrialEnd
from gisearch.training.objective import Cost, Objective

SMALLEST = Objective("val/pearson", "max", "parameters")
SPEC: dict[str, Any] = {
    "kind": ["a", "b"],
    "width": {"int": [1, 64], "log": True},
    "lr": {"float": [1e-3, 1.0], "log": True},
}


def facts(parameters: int, seconds: float = 1.0) -> dict[str, Any]:
    return {"epochs": 2, "seconds": seconds, "parameters": {"encoder": parameters, "total": parameters}}


def brute_force(points: list[tuple[float, float]], mode: str) -> set[int]:
    """The front by its definition."""
    signed = [(score if mode == "max" else -score, -cost) for score, cost in points]
    return {
        i
        for i, (score, cost) in enumerate(signed)
        if not any((s >= score and c >= cost) and (s > score or c > cost) for s, c in signed)
    }


class TestFront:
    @pytest.mark.parametrize("mode", ["max", "min"])
    @pytest.mark.parametrize("levels", [3, 8, 1000])
    def test_it_is_what_nothing_dominates(self, mode: Any, levels: int) -> None:
        generator = np.random.default_rng(levels)
        for size in (1, 2, 5, 40):
            # Few levels give ties in score, in cost and in both.
            drawn = generator.integers(levels, size=(size, 2))
            points = [(float(score), float(cost)) for score, cost in drawn]
            found = pareto_front(points, mode)
            assert set(found) == brute_force(points, mode)
            scores = [points[i][0] for i in found]
            assert scores == sorted(scores, reverse=mode == "max")

    def test_by_hand(self) -> None:
        points = [(0.9, 100.0), (0.5, 10.0), (0.4, 20.0), (0.9, 200.0), (0.1, 0.0), (0.5, 10.0)]
        assert pareto_front(points, "max") == [0, 1, 5, 4]
        assert pareto_front(points, "min") == [4]
        assert pareto_front([], "max") == []

    def test_what_a_trial_costs(self) -> None:
        assert measured_cost("parameters", facts(70)) == 70.0
        assert measured_cost("seconds", facts(70, 2.5)) == 2.5
        assert measured_cost("parameters", {"parameters": {"total": 0}}) == 0.0
        assert measured_cost("parameters", {"seconds": 3.0}) is None
        assert measured_cost("seconds", None) is None


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Ledger]:
    """Open a ledger that minimises a cost as well."""

    def open_ledger(folder: str = "s", *, objective: Objective = SMALLEST, **options: Any) -> Ledger:
        (tmp_path / folder).mkdir(exist_ok=True)
        baselines = options.pop("baselines", ())
        space, _ = compile_space(
            SPEC, {"kind": "a", "width": 8, "lr": 0.1}, lambda key, message: ConfigError(message)
        )
        study = open_study(tmp_path / folder, folder, objective)
        return Ledger(study, space, SearchConfig(**options), baselines=baselines)

    return open_ledger


def outcome_of(values: dict[str, Any]) -> Outcome:
    """A larger model is better, up to a learning rate that suits it."""
    score = np.log(values["width"]) - abs(np.log10(values["lr"]) + 1.5) + (values["kind"] == "a")
    return Outcome("finished", float(score), None, facts(10 * values["width"]))


def drain(ledger: Ledger, parallel: int = 1) -> list[Handout]:
    """Run a ledger to its end, some trials at a time."""
    handouts: list[Handout] = []
    while batch := [handout for _ in range(parallel) if (handout := ledger.next()) is not None]:
        for handout in batch:
            ledger.report(handout.number, 1, 0.5)
            ledger.finish(handout.number, outcome_of(handout.assignment))
        handouts += batch
    return handouts


class TestStudy:
    def test_a_trial_is_told_with_both_values(self, make: Callable[..., Ledger]) -> None:
        ledger = make(trials=6)
        for _ in range(6):
            ledger.next()
        for number in range(6):
            ledger.report(number, 1, 0.1)
            ledger.report(number, 2, 0.2)
        ledger.finish(0, Outcome("finished", 0.2, None, facts(70)))
        ledger.finish(1, Outcome("finished", 0.2, None, facts(0)))
        ledger.finish(2, Outcome("finished", 0.2, None, {"epochs": 2}))
        ledger.finish(3, Outcome("failed", 0.2, "it broke", facts(70)))
        # Two directions know no pruned trials.
        ledger.finish(4, Outcome("stopped_early", 0.2, None, facts(70)))
        ledger.finish(5, Outcome("finished", None, None, facts(70)))
        trials = ledger.study.trials
        assert [t.values for t in trials] == [[0.2, 70.0], [0.2, 0.0], None, None, None, None]
        assert [t.state for t in trials[:2]] == [TrialState.COMPLETE] * 2
        assert {t.state for t in trials[2:]} == {TrialState.FAIL}
        assert all(t.intermediate_values == {1: 0.1, 2: 0.2} for t in trials)

    @pytest.mark.parametrize("sampler", ["tpe", "random"])
    def test_the_same_seed_gives_the_same_trials(self, make: Callable[..., Ledger], sampler: str) -> None:
        options = {"trials": 24, "startup_trials": 6, "sampler": sampler}
        first, second = (drain(make(name, **options), parallel=3) for name in ("one", "two"))
        assert [h.assignment for h in first] == [h.assignment for h in second]
        assert len(first) == 24

    def test_tpe_learns_of_both(self, make: Callable[..., Ledger]) -> None:
        def dominated(sampler: str) -> float:
            """The area between the points and a corner that all of them beat, as the front covers it."""
            drain(make(sampler, trials=60, sampler=sampler))
            trials = make(sampler, trials=60, sampler=sampler).study.trials
            points = [(t.values[0], np.log(t.values[1])) for t in trials]
            front = [points[i] for i in pareto_front(points, "max")]
            floor, ceiling = -3.0, np.log(700.0)
            areas = [
                (score - (front[i + 1][0] if i + 1 < len(front) else floor)) * (ceiling - cost)
                for i, (score, cost) in enumerate(front)
            ]
            return float(sum(areas))

        assert dominated("tpe") > dominated("random")

    def test_a_duplicate_takes_both_values(self, make: Callable[..., Ledger]) -> None:
        one, other = {"kind": "b", "width": 4, "lr": 0.1}, {"kind": "b", "width": 2, "lr": 0.1}
        ledger = make(baselines=(one, one, other, other), trials=2)
        first, second = ledger.next(), ledger.next()
        assert first is not None
        assert second is not None
        assert (first.number, second.number) == (0, 2)
        ledger.finish(0, Outcome("finished", 0.7, None, facts(40)))
        assert ledger.study.trials[1].values == [0.7, 40.0]
        ledger.finish(2, Outcome("finished", 0.6, None, facts(20)))
        ledger = make(baselines=(one, one, other, other), trials=3)
        ledger.next()
        assert ledger.study.trials[3].user_attrs["duplicate_of"] == 2
        assert ledger.study.trials[3].values == [0.6, 20.0]

    def test_a_resumed_sweep_goes_on(self, make: Callable[..., Ledger]) -> None:
        whole = [h.assignment for h in drain(make("whole", trials=14))]
        drain(make(trials=9))
        killed = make(trials=14)
        handout = killed.next()
        assert handout is not None
        killed.report(handout.number, 1, 0.5)
        resumed = make(trials=14)
        assert [h.assignment for h in drain(resumed)] == whole[9:]
        assert [len(t.values) for t in resumed.study.trials] == [2] * 14

    @pytest.mark.parametrize("trials", [0, 1])
    @pytest.mark.parametrize(
        ("before", "after"), [("parameters", "seconds"), ("parameters", None), (None, "seconds")]
    )
    def test_a_resumed_sweep_keeps_its_cost(
        self, make: Callable[..., Ledger], before: Cost | None, after: Cost | None, trials: int
    ) -> None:
        ledger = make(objective=Objective("val/pearson", "max", before))
        for _ in range(trials):
            ledger.next()
        with pytest.raises(ConfigError) as error:
            make(objective=Objective("val/pearson", "max", after))
        assert str(error.value) == (
            f"objective.cost: 's' was started with {before or 'none'!r}, got {after or 'none'!r}; "
            "a resumed sweep keeps its objectives."
        )

    def test_a_resumed_sweep_keeps_its_direction(self, make: Callable[..., Ledger]) -> None:
        make()
        with pytest.raises(
            ConfigError, match=r"^objective.metric: 's' was started to maximise its metric, but 'val/rmse'"
        ):
            make(objective=Objective("val/rmse", "min", "parameters"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep of seven trials against parameters: five finished, one reused, one failed."""
    folder = tmp_path / "results" / "study"
    folder.mkdir(parents=True)
    space, _ = compile_space(
        {"model.width": {"int": [1, 64]}, "model.name": ["x", "y"], "lr": {"float": [0.0, 1.0]}},
        {"model.width": 8, "model.name": "x", "lr": 0.1},
        lambda key, message: ConfigError(message),
    )
    sizes = [(8, 0.5), (64, 0.9), (32, 0.5), (2, 0.1), (1, 0.95), (16, 0.9)]
    baselines = [{"model.width": width, "model.name": "x", "lr": 0.5} for width, _ in sizes]
    baselines.append(dict(baselines[0]))
    ledger = Ledger(
        open_study(folder, "study", SMALLEST), space, SearchConfig(trials=6), baselines=tuple(baselines)
    )
    for number, (width, score) in enumerate(sizes):
        assert ledger.next() is not None
        ledger.report(number, 1, score)
        outcome = Outcome("finished", score, None, facts(100 * width))
        ledger.finish(number, Outcome("failed", score, "it broke") if width == 1 else outcome)
        trial = folder / "trials" / f"t{number:04d}"
        trial.mkdir(parents=True)
        (trial / "config.yaml").write_text(yaml.safe_dump({"width": width}))
        (trial / "best.pt").touch()
    ledger.config = SearchConfig(trials=7)
    ledger.next()
    sweep = {"name": "study", "metric": "val/pearson", "noise_ceiling": 0.97, "tracking": {"enabled": False}}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    return folder


class TestResults:
    def test_rows_and_front(self, folder: Path) -> None:
        results = load_results(folder)
        assert results.cost == "parameters"
        assert [(row.trial_id, row.value, row.cost, row.status) for row in results.rows] == [
            # Of two equal scores the cheaper one leads.
            ("t0005", 0.9, 1600.0, "finished"),
            ("t0001", 0.9, 6400.0, "finished"),
            ("t0000", 0.5, 800.0, "finished"),
            ("t0002", 0.5, 3200.0, "finished"),
            ("t0006", 0.5, 800.0, "reused"),
            ("t0003", 0.1, 200.0, "finished"),
            ("t0004", None, None, "failed"),
            ("t0007", None, None, "running"),
        ]
        assert [row.trial_id for row in results.front] == ["t0005", "t0000", "t0003"]
        assert results.best is results.front[0]

    def test_json(self, folder: Path) -> None:
        found = json.loads(json.dumps(load_results(folder).as_json()))
        assert found["cost"] == "parameters"
        assert found["front"] == [
            {"trial_id": "t0005", "value": 0.9, "cost": 1600.0},
            {"trial_id": "t0000", "value": 0.5, "cost": 800.0},
            {"trial_id": "t0003", "value": 0.1, "cost": 200.0},
        ]
        assert found["trials"][1]["cost"] == 6400.0
        assert "cost" not in found["trials"][6]

    def test_the_front_as_a_table(self, folder: Path) -> None:
        (table,) = pareto_table(load_results(folder))
        cells = [list(column.cells) for column in table.columns]
        assert cells == [
            ["t0005", "t0000", "t0003"],
            ["0.9000", "0.5000", "0.1000"],
            ["1,600", "800", "200"],
            ["width 16", "width 8", "width 2"],
        ]
        assert table.title == "Pareto front: val/pearson against parameters"
        console = Console(width=120, file=io.StringIO())
        (folder / "front").mkdir()
        results = load_results(folder)
        print_results(results, results.tracking, console)
        shown: str = console.file.getvalue()  # type: ignore[attr-defined]
        assert "where they differ" in shown
        assert f"Saved: {folder}/front/<trial>.yaml, the Pareto front's configurations" in shown

    def test_the_leaderboard_has_cost_and_front(self, folder: Path) -> None:
        with write_leaderboard(load_results(folder)).open(newline="") as file:
            rows = {row["trial_id"]: row for row in csv.DictReader(file)}
        assert {name for name, row in rows.items() if row["on_front"] == "True"} == {
            "t0005",
            "t0000",
            "t0003",
        }
        assert rows["t0006"]["cost"] == "800"
        assert rows["t0004"]["cost"] == ""

    def test_the_fronts_configurations_are_saved_and_renewed(self, folder: Path) -> None:
        (folder / "front").mkdir()
        (folder / "front" / "t0001.yaml").write_text("beaten by now")
        saved = save_front(load_results(folder))
        assert list(saved) == ["front/t0005.yaml", "front/t0000.yaml", "front/t0003.yaml"]
        assert {path.name for path in (folder / "front").iterdir()} == {path.name for path in saved.values()}
        assert yaml.safe_load(saved["front/t0003.yaml"].read_text()) == {"width": 2}

    def test_the_front_is_drawn(self, folder: Path) -> None:
        drawn = draw(load_results(folder))
        assert drawn["plots/pareto_front.png"].read_bytes().startswith(b"\x89PNG")

    def test_checkpoints_of_the_best_and_of_the_front_are_kept(self, folder: Path) -> None:
        study = open_study(folder, "study", SMALLEST)
        plan: Any = SimpleNamespace(config=SimpleNamespace(search=SearchConfig(keep_checkpoints=2)))
        keeper = Housekeeper(folder, plan, study)

        def left() -> set[str]:
            return {path.parent.name for path in folder.glob("trials/*/*.pt")}

        # The two best, and what is cheaper than them.
        assert left() == {"t0001", "t0005", "t0000", "t0003"}
        for number in (8, 9, 10):
            (folder / "trials" / f"t{number:04d}").mkdir()
            (folder / "trials" / f"t{number:04d}" / "best.pt").touch()
        keeper.on_end(8, Outcome("finished", 0.6, None, facts(100)))
        assert left() == {"t0001", "t0005", "t0008", "t0009", "t0010"}
        keeper.on_end(9, Outcome("finished", 0.3, None, facts(100)))
        keeper.on_end(10, Outcome("stopped_early", 0.99, "out of time", facts(1)))
        assert left() == {"t0001", "t0005", "t0008"}


class TestWithoutACost:
    def test_nothing_of_it_shows(self, tmp_path: Path) -> None:
        space, _ = compile_space({"x": [1, 2]}, {"x": 1}, lambda key, message: ConfigError(message))
        study = open_study(tmp_path, "s", Objective("val/pearson", "max"))
        ledger = Ledger(study, space, SearchConfig(trials=2))
        while (handout := ledger.next()) is not None:
            ledger.finish(handout.number, Outcome("finished", 0.5, None, facts(10)))
        (tmp_path / "sweep.yaml").write_text("{name: s, metric: val/pearson}")
        results = load_results(tmp_path)
        assert results.cost is None
        assert results.front == ()
        assert pareto_table(results) == []
        assert save_front(results) == {}
        assert not (tmp_path / "front").exists()
        assert "plots/pareto_front.png" not in draw(results)
        assert "on_front" not in write_leaderboard(results).read_text()


class TestPlan:
    SPACE = (
        "base: [model=additive, data=demo_tiny]\nobjective: {cost: %s}\nspace: {trainer.accumulate: [1, 2]}\n"
    )
    STOPPING = "early stopping is off: it judges by score alone and would end cheap configurations"
    MEASURED = "training seconds are measured: the same sweep need not suggest the same trials again"

    @pytest.mark.parametrize(
        ("cost", "notes"), [("none", []), ("parameters", [STOPPING]), ("seconds", [STOPPING, MEASURED])]
    )
    def test_early_stopping_is_off_with_a_cost(
        self, plan: Callable[..., SweepPlan], cost: str, notes: list[str]
    ) -> None:
        made = plan(self.SPACE % cost)
        assert made.config.search.scheduler == ("none" if notes else "asha")
        assert [note for note in made.notes if note in (self.STOPPING, self.MEASURED)] == notes
        assert made.configure({}).objective.cost == cost
        console = Console(width=120, file=io.StringIO())
        print_plan(made, console)
        shown: str = console.file.getvalue()  # type: ignore[attr-defined]
        assert (f"auto (auto) against {cost}\n" in shown) == bool(notes)

    def test_nothing_is_said_where_it_was_off(self, plan: Callable[..., SweepPlan]) -> None:
        made = plan(self.SPACE % "none", "objective.cost=parameters", "search.scheduler=none")
        assert made.config.objective.cost == "parameters"
        assert self.STOPPING not in made.notes

    def test_an_unknown_cost(self, message: Callable[..., str]) -> None:
        assert message(self.SPACE % "second") == (
            "objective.cost: expected 'none', 'seconds' or 'parameters', got 'second'. "
            "Did you mean 'seconds'?"
        )


@pytest.mark.parametrize(("cost", "expected"), [("seconds", 2.5), ("parameters", 70.0), (None, None)])
def test_the_cost_is_recorded(cost: Cost | None, expected: float | None) -> None:
    ended: list[TrialEnd] = []
    tracker: Any = SimpleNamespace(end_trial=ended.append, log_metrics=lambda *_: None)
    recorder = Recorder(tracker, Objective("val/pearson", "max", cost))
    recorder.on_end(0, Outcome("finished", 0.5, None, facts(70, 2.5)))
    recorder.on_end(1, Outcome("failed", 0.5, "it broke", facts(70, 2.5)))
    assert ended[0].summary.get("cost") == expected
    assert "cost" not in ended[1].summary
