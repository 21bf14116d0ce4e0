from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError
from ray.tune.search import Searcher

from gisearch.config import build, to_plain
from gisearch.errors import ConfigError
from gisearch.search.budget import Budget
from gisearch.search.config import SearchConfig
from gisearch.search.leaving import Leaving
from gisearch.search.ledger import Handout, Ledger, Outcome
from gisearch.search.observer import Observer
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.searcher import LedgerSearcher
from gisearch.search.study import open_study
from gisearch.search.supervision import Ending, Supervisor
from gisearch.training.objective import Objective

SPACE = """
base: [model=dango_gi, data=demo_tiny]
space: {trainer.accumulate: [1, 2, 3, 4, 5, 6]}
baselines:
  - {trainer.accumulate: 1}
  - {trainer.accumulate: 2}
  - {trainer.accumulate: 3}
  - {trainer.accumulate: 4}
search: {trials: 4}
"""
OVER = {"failure": "NaN in the encoder.", "finished": True}

Make = Callable[..., "Sweep"]


class Witness(Observer):
    """Writes down what it hears."""

    def __init__(self, heard: list[Any], name: str) -> None:
        self.heard, self.name = heard, name

    def on_start(self, handout: Handout, config: Any) -> None:
        self.heard.append((self.name, "start", handout.number))

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        self.heard.append((self.name, "epoch", number, epoch, best, dict(metrics)))

    def on_pause(self, number: int, reason: str) -> None:
        self.heard.append((self.name, "pause", number, reason))

    def on_end(self, number: int, outcome: Outcome) -> None:
        self.heard.append((self.name, "end", number, outcome.status))


class Groups:
    """Stands for groups of workers, which need Ray: writes down how they are taken and given back."""

    def __init__(self) -> None:
        self.runs, self.given_back = 0, []

    def take(self, trial: str) -> tuple[str, int]:
        self.runs += 1
        return "group", self.runs - 1

    def give_back(self, trial: str, *, intact: bool) -> None:
        self.given_back.append((trial, intact))


class Sweep:
    """A searcher on a study in a folder, new or as it was left, and what its observers heard."""

    def __init__(self, folder: Path, plan: SweepPlan, groups: Groups | None = None, **search: Any) -> None:
        config = build(SearchConfig, {**to_plain(plan.config.search), **search})
        self.study = open_study(folder, "s", Objective("val/pearson", "max"))
        self.ledger = Ledger(self.study, plan.space, config, baselines=plan.baselines)
        self.heard: list[Any] = []
        self.leaving, self.now = Leaving(30.0), 0.0
        budget = Budget(self.study, config, 0.0, clock=lambda: self.now)
        self.supervisor = Supervisor(config, None, budget, self.leaving, clock=lambda: self.now)
        observers = [budget, Witness(self.heard, "a"), Witness(self.heard, "b")]
        pool: Any = groups
        self.searcher = LedgerSearcher(plan, self.ledger, folder, observers, self.supervisor, pool)

    def start(self, name: str) -> int:
        """Have Tune ask for a trial; returns the study's number."""
        assert isinstance(self.searcher.suggest(name), dict)
        return self.searcher.numbers[name]

    def end(self, name: str, kind: str | None = None, result: Any = None, **why: Any) -> None:
        """Tell that an attempt ended, from outside with a kind."""
        if kind is not None:
            self.supervisor.endings[self.searcher.numbers[name]] = Ending(kind, **why)
        self.searcher.on_trial_complete(name, result, error=kind in ("lost", "hung"))

    def state(self, number: int) -> tuple[str, Any]:
        trial = self.study.trials[number]
        return trial.state.name, trial.user_attrs.get("outcome")

    def told(self, kind: str) -> list[Any]:
        return [event[2:] for event in self.heard if event[:2] == ("a", kind)]


@pytest.fixture
def plan(tmp_path: Path) -> SweepPlan:
    (tmp_path / "s.yaml").write_text(SPACE)
    return plan_sweep(tmp_path / "s.yaml")


@pytest.fixture
def make(tmp_path: Path, plan: SweepPlan) -> Make:
    return lambda *groups, **search: Sweep(tmp_path, plan, *groups, **search)


@pytest.fixture
def sweep(make: Make) -> Sweep:
    return make()


def epoch(number: int, value: float, **more: Any) -> dict[str, Any]:
    facts = {"epoch": number, "objective": value, "best_epoch": number, "train_seconds": 0.5 * number}
    return {**facts, "metrics": json.dumps({"val/pearson": value}), "finished": False, **more}


class TestSuggestions:
    def test_a_suggestion_is_the_whole_experiment(self, sweep: Sweep, tmp_path: Path) -> None:
        found = sweep.searcher.suggest("x")
        assert isinstance(found, dict)
        assert sweep.searcher.numbers == {"x": 0}
        assert found["group"] is None
        assert found["job"]["adopt"] is None
        assert found["job"]["folder"] == str((tmp_path / "trials" / "t0000").resolve())
        assert found["job"]["experiment"]["data"]["cell"]["num_genes"] == 40

    def test_it_is_over_once_no_trial_runs_that_may_yet_be_lost(self, sweep: Sweep) -> None:
        for name in "xyzw":
            sweep.start(name)
        # Tune never asks again after FINISHED.
        assert sweep.searcher.suggest("v") is None
        for name in "xyz":
            sweep.end(name, result=epoch(1, 0.5, finished=True))
        assert sweep.searcher.suggest("v") is None
        sweep.end("w", "lost", error=WorkerCrashedError())
        assert sweep.start("v") == 3
        sweep.end("v", result=epoch(1, 0.5, finished=True))
        assert sweep.searcher.suggest("u") == Searcher.FINISHED
        assert len(sweep.study.trials) == 4

    def test_a_configuration_that_does_not_fit_is_recorded_and_passed_over(self, sweep: Sweep) -> None:
        whole = sweep.searcher.plan

        def configure(assignment: Mapping[str, Any], seed: int | None = None) -> Any:
            if assignment["trainer.accumulate"] == 1:
                raise ConfigError("it does not fit.")
            return whole.configure(assignment, seed)

        sweep.searcher.plan = SimpleNamespace(configure=configure, config=whole.config)
        assert sweep.start("x") == 1
        assert sweep.state(0) == ("FAIL", {"status": "failed", "reason": "it does not fit."})

    def test_nothing_is_handed_out_when_leaving(self, sweep: Sweep) -> None:
        sweep.leaving.signal = 15
        assert sweep.searcher.suggest("x") == Searcher.FINISHED
        assert not sweep.ledger.ended, "the sweep is to be resumed"

    def test_nothing_is_handed_out_once_the_hours_are_over(self, make: Make) -> None:
        sweep = make(hours=1.0)
        sweep.start("x")
        sweep.now = 3600.0
        assert sweep.searcher.suggest("y") == Searcher.FINISHED
        assert sweep.ledger.ended

    def test_tune_may_copy_and_save_it(self, sweep: Sweep, tmp_path: Path) -> None:
        searcher = sweep.searcher
        assert copy.deepcopy(searcher) is searcher
        assert type(pickle.loads(pickle.dumps(searcher))) is object
        searcher.save(str(tmp_path / "state"))
        searcher.restore(str(tmp_path / "state"))
        assert (tmp_path / "state").read_bytes() == b""
        assert searcher.get_state() == {}


class TestOutcomes:
    def test_finished(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.searcher.on_trial_result("x", epoch(1, 0.25))
        summary = json.dumps({"parameters": {"total": 7}, "subgroups": {}})
        last = epoch(2, 0.5, finished=True, summary=summary, time_total_s=9.0)
        sweep.searcher.on_trial_result("x", last)
        sweep.end("x", result=last)
        name, outcome = sweep.state(0)
        assert (name, outcome["status"], outcome["parameters"]) == ("COMPLETE", "finished", {"total": 7})
        assert (outcome["epochs"], outcome["best_epoch"]) == (2, 2)
        assert (outcome["seconds"], outcome["wall_seconds"]) == (1.0, 9.0)
        assert sweep.study.trials[0].value == 0.5

    def test_stopped_by_its_score_or_a_limit(self, sweep: Sweep) -> None:
        for name, reason in (("x", None), ("y", "the sweep's 1 hours are over")):
            number = sweep.start(name)
            sweep.searcher.on_trial_result(name, epoch(1, 0.25))
            # Tune tells the epoch that stops a trial when it has ended.
            sweep.end(name, "stopped", epoch(2, 0.5), reason=reason)
            state, outcome = sweep.state(number)
            assert (state, outcome["status"], outcome["reason"]) == ("PRUNED", "stopped_early", reason)
            assert sweep.study.trials[number].value == 0.5
            assert sweep.study.trials[number].intermediate_values == {1: 0.25, 2: 0.5}
        assert (1, 2, 0.5, {"val/pearson": 0.5}) in sweep.told("epoch")

    def test_failed(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.searcher.on_trial_result("x", epoch(1, 0.25))
        sweep.searcher.on_trial_result("x", OVER)
        sweep.end("x", result=OVER)
        name, outcome = sweep.state(0)
        assert (name, outcome["reason"], outcome["epochs"]) == ("FAIL", "NaN in the encoder.", 1)

    def test_without_a_result(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.end("x", "stopped", {})
        assert sweep.state(0)[1]["reason"] == "it ended without a result."

    def test_hung(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.searcher.on_trial_result("x", epoch(1, 0.25))
        sweep.end("x", "hung", reason="no epoch ended within 60 minutes")
        name, outcome = sweep.state(0)
        assert name == "FAIL"
        assert outcome["reason"] == "no epoch ended within 60 minutes; its process was ended."
        assert sweep.told("pause") == [], "it would only hang again"

    def test_one_that_finished_just_before_its_process_was_ended_has_finished(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.end("x", "hung", epoch(3, 0.5, finished=True), reason="no epoch ended within 60 minutes")
        assert sweep.state(0)[1]["status"] == "finished"

    def test_observers_hear_everything_in_order(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.searcher.on_trial_result("x", epoch(1, 0.25))
        sweep.end("x", result=epoch(1, 0.25, finished=True))
        sweep.end("x")
        sweep.end("never seen")
        expected = [("start", 0), ("epoch", 0, 1, 0.25, {"val/pearson": 0.25}), ("end", 0, "finished")]
        assert sweep.heard == [(name, *event) for event in expected for name in "ab"]


class TestLosses:
    def test_a_lost_process_is_replaced_until_the_retries_are_used_up(self, make: Make) -> None:
        sweep = make(max_retries=2)
        for attempt in range(3):
            name = f"attempt{attempt}"
            assert sweep.start(name) == 0
            sweep.searcher.on_trial_result(name, epoch(attempt + 1, 0.25))
            sweep.end(name, "lost", error=WorkerCrashedError())
        name, outcome = sweep.state(0)
        assert (name, outcome["reason"]) == ("FAIL", "its process died (3 times).")
        assert outcome["epochs"] == 3
        assert sweep.told("start") == [(0,)] * 3
        assert sweep.told("pause") == [(0, "its process died.")] * 2
        assert sweep.told("end") == [(0, "failed")]
        assert sweep.start("next") == 1

    def test_preemptions_are_counted_apart(self, make: Make) -> None:
        sweep = make(max_retries=1, max_preemptions=3)
        gone, died = NodeDiedError("the node died"), WorkerCrashedError()
        for error in (gone, died, gone, gone):
            assert sweep.start("x") == 0
            sweep.end("x", "lost", error=error)
            assert sweep.state(0) == ("RUNNING", None)
        assert sweep.study.trials[0].user_attrs["losses"] == {"preempted": 3, "died": 1}
        sweep.start("x")
        sweep.end("x", "lost", error=gone)
        assert sweep.state(0)[1]["reason"] == "its machine was taken away or died (4 times)."

    def test_out_of_memory_is_not_tried_again(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.end(
            "x", "lost", error=OutOfMemoryError("Task was killed due to the node running low on memory.")
        )
        name, outcome = sweep.state(0)
        assert name == "FAIL"
        assert outcome["reason"] == "out of memory: Task was killed due to the node running low on memory."

    def test_an_error_that_the_scheduler_was_not_told_of(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.searcher.on_trial_complete("x", None, error=True)
        assert sweep.told("pause") == [(0, "its process died.")]

    def test_epochs_that_another_attempt_repeats_are_recorded_once(self, sweep: Sweep) -> None:
        sweep.start("x")
        for number in (1, 2, 3):
            sweep.searcher.on_trial_result("x", epoch(number, 0.25))
        sweep.end("x", "lost", error=WorkerCrashedError())
        sweep.start("y")
        for number in (2, 3, 4):
            sweep.searcher.on_trial_result("y", epoch(number, 0.75))
        assert [event[1] for event in sweep.told("epoch")] == [1, 2, 3, 4]
        assert sweep.study.trials[0].intermediate_values == {1: 0.25, 2: 0.25, 3: 0.25, 4: 0.75}

    def test_one_that_leaves_stays_running_and_is_resumed(self, make: Make) -> None:
        sweep = make()
        sweep.start("x")
        sweep.searcher.on_trial_result("x", epoch(1, 0.25))
        sweep.end("x", "left", epoch(2, 0.5))
        assert sweep.state(0) == ("RUNNING", None)
        assert sweep.told("pause") == [(0, "the sweep was told to leave")]
        assert sweep.told("end") == []
        resumed = make()
        assert resumed.start("x") == 0
        assert resumed.study.trials[0].intermediate_values == {1: 0.25, 2: 0.5}

    def test_counts_go_on_in_a_resumed_sweep(self, make: Make) -> None:
        sweep = make(max_retries=1)
        sweep.start("x")
        sweep.end("x", "lost", error=WorkerCrashedError())
        resumed = make(max_retries=1)
        resumed.start("x")
        resumed.end("x", "lost", error=WorkerCrashedError())
        assert resumed.state(0)[1]["reason"] == "its process died (2 times)."

    def test_one_that_is_replaced_pauses(self, sweep: Sweep) -> None:
        sweep.start("x")
        sweep.end("x", "replaced", epoch(2, 0.5))
        assert sweep.state(0) == ("RUNNING", None)
        assert sweep.told("pause") == [(0, "it takes over another trial's state")]


class TestGroups:
    def test_a_trial_is_given_a_run_of_a_group(self, make: Make) -> None:
        groups = Groups()
        sweep = make(groups)
        assert [sweep.searcher.suggest(name)["group"] for name in "xy"] == [("group", 0), ("group", 1)]
        sweep.end("x", result=epoch(1, 0.5, finished=True))
        sweep.end("y", "stopped", epoch(1, 0.5))
        sweep.start("z")
        sweep.end("z", "hung", reason="no epoch ended within 60 minutes")
        sweep.start("w")
        sweep.end("w", "lost", error=WorkerCrashedError())
        assert groups.given_back == [("x", True), ("y", True), ("z", False), ("w", False)]

    def test_a_group_that_was_lost_is_like_a_process_that_was(self, make: Make) -> None:
        sweep = make(Groups(), max_retries=1, max_preemptions=1)
        lost = {"lost": "preempted", "failure": "its machine was taken away or died.", "finished": True}
        died = {"lost": "died", "failure": "its process died.", "finished": True}
        for result in (lost, died):
            assert sweep.start("x") == 0
            sweep.searcher.on_trial_result("x", epoch(1, 0.25))
            sweep.searcher.on_trial_result("x", {**epoch(1, 0.25), **result})
            sweep.end("x", result={**epoch(1, 0.25), **result})
        assert sweep.told("pause") == [(0, lost["failure"]), (0, died["failure"])]
        assert sweep.study.trials[0].user_attrs["losses"] == {"preempted": 1, "died": 1}
        sweep.start("x")
        sweep.end("x", result=died)
        name, outcome = sweep.state(0)
        assert (name, outcome["reason"]) == ("FAIL", "its process died (2 times).")
