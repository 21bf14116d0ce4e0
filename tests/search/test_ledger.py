from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from gisearch.errors import ConfigError
from gisearch.search.compilation import compile_space
from gisearch.search.config import SearchConfig
from gisearch.search.ledger import Handout, Ledger, Outcome
from gisearch.search.space import SearchSpace, canonical
from gisearch.search.study import load_study, open_study
from gisearch.training.objective import Objective

BASE = {"depth": 1, "kind": "a", "lr": 0.1, "flag": False, "list": [1]}
MIXED: dict[str, Any] = {
    "kind": ["a", "b"],
    "depth": {"int": [1, 4], "when": {"kind": "a"}},
    "lr": {"float": [1e-3, 1.0], "log": True},
}
FINITE: dict[str, Any] = {"kind": ["a", "b"], "depth": {"int": [1, 2], "when": {"kind": "a"}}}
DONE = Outcome("finished", 0.5, None, {"epochs": 3, "seconds": 0.25})


def space_of(spec: dict[str, Any]) -> SearchSpace:
    return compile_space(spec, BASE, lambda key, message: ConfigError(f"{key}: {message}"))[0]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Ledger]:
    """Open a ledger on the study in a folder, new or as it was left."""

    def open_ledger(
        spec: dict[str, Any],
        folder: str = "s",
        *,
        baselines: Any = (),
        master: int = 0,
        mode: Any = "max",
        **search: Any,
    ) -> Ledger:
        (tmp_path / folder).mkdir(exist_ok=True)
        study = open_study(tmp_path / folder, "s", Objective("val/pearson", mode))
        return Ledger(study, space_of(spec), SearchConfig(**search), baselines=baselines, seed=master)

    return open_ledger


def drain(ledger: Ledger, value: Callable[[dict[str, Any]], float] = lambda _: 0.5) -> list[Handout]:
    """Run a ledger to its end, a trial at a time."""
    handouts = []
    while (handout := ledger.next()) is not None:
        handouts.append(handout)
        ledger.report(handout.number, 1, value(handout.assignment))
        ledger.finish(handout.number, Outcome("finished", value(handout.assignment)))
        assert len(handouts) < 500
    return handouts


def assignments(handouts: list[Handout]) -> list[dict[str, Any]]:
    return [handout.assignment for handout in handouts]


class TestSeeds:
    def test_the_same_seed_gives_the_same_trials(self, make: Callable[..., Ledger]) -> None:
        search = {"trials": 12, "startup_trials": 4}
        value = lambda values: values["lr"]  # noqa: E731
        first = assignments(drain(make(MIXED, "one", seed=0, **search), value))
        assert first == assignments(drain(make(MIXED, "two", seed=0, **search), value))
        assert first != assignments(drain(make(MIXED, "three", seed=1, **search), value))
        assert len(first) == 12
        assert all(("depth" in values) == (values["kind"] == "a") for values in first)

    def test_another_process_draws_the_same(self, make: Callable[..., Ledger], tmp_path: Path) -> None:
        script = f"""
import json, pathlib
from gisearch.search.config import SearchConfig
from gisearch.search.ledger import Ledger, Outcome
from gisearch.search.study import open_study
from gisearch.search.compilation import compile_space
from gisearch.training.objective import Objective
folder = pathlib.Path("other"); folder.mkdir()
space, _ = compile_space({MIXED!r}, {BASE!r}, None)
study = open_study(folder, "s", Objective("m", "max"))
ledger = Ledger(study, space, SearchConfig(trials=8, startup_trials=4))
found = []
while (h := ledger.next()) is not None:
    found.append(h.assignment)
    ledger.finish(h.number, Outcome("finished", h.assignment["lr"]))
print(json.dumps(found))
"""
        out = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        here = drain(make(MIXED, trials=8, startup_trials=4), lambda values: values["lr"])
        assert json.loads(out.stdout) == assignments(here)

    def test_the_master_seed_or_one_per_replicate(self, make: Callable[..., Ledger]) -> None:
        assert {h.seed for h in drain(make(MIXED, "one", trials=4, master=7))} == {7}
        search = {"trials": 6, "duplicates": "replicate"}
        replicates = drain(make({"flag": [True]}, "two", master=7, **search))
        assert len(replicates) == 6
        assert len({h.seed for h in replicates}) == 6
        assert [h.seed for h in drain(make({"flag": [True]}, "three", master=7, **search))] == [
            h.seed for h in replicates
        ]


class TestBudget:
    def test_baselines_come_first_and_exactly(self, make: Callable[..., Ledger]) -> None:
        baselines = ({"kind": "b", "lr": 0.0317}, {"kind": "a", "depth": 3, "lr": 1.0})
        ledger = make(MIXED, baselines=baselines, trials=5)
        handouts = drain(ledger)
        assert tuple(assignments(handouts[:2])) == baselines
        assert [h.number for h in handouts] == [0, 1, 2, 3, 4]
        assert [bool(t.user_attrs.get("baseline")) for t in ledger.study.trials] == [
            True,
            True,
            False,
            False,
            False,
        ]

    def test_lists_are_values_too(self, make: Callable[..., Ledger]) -> None:
        ledger = make({"list": [[1, 2], [3]]}, baselines=({"list": [3]},), trials=2)
        assert assignments(drain(ledger)) == [{"list": [3]}, {"list": [1, 2]}]

    def test_whole_numbers_in_a_real_range_are_the_same_configuration(
        self, make: Callable[..., Ledger]
    ) -> None:
        ledger = make({"lr": {"float": [1, 3], "step": 1}}, baselines=({"lr": 2},), trials=9)
        assert sorted(a["lr"] for a in assignments(drain(ledger))) == [1.0, 2.0, 3.0]

    def test_a_finite_space_ends_before_its_budget(self, make: Callable[..., Ledger]) -> None:
        handouts = drain(make(FINITE, trials=50))
        assert len(handouts) == len({canonical(h.assignment) for h in handouts}) == 3

    @pytest.mark.parametrize("trials", [1, 50])
    def test_exhaustive_hands_every_configuration_out_once(
        self, make: Callable[..., Ledger], trials: int
    ) -> None:
        spec = {"kind": ["a", "b"], "depth": {"int": [1, 4], "when": {"kind": "a"}}, "flag": [True, False]}
        baselines = ({"kind": "b", "flag": False},)
        handouts = drain(make(spec, "one", baselines=baselines, trials=trials, exhaustive=True))
        expected = {canonical(values) for values in space_of(spec).enumerate()}
        assert len(handouts) == len(expected) == 10
        assert {canonical(h.assignment) for h in handouts} == expected
        assert handouts[0].assignment == baselines[0]
        again = drain(make(spec, "two", baselines=baselines, exhaustive=True))
        other = drain(make(spec, "three", baselines=baselines, exhaustive=True, seed=1))
        assert assignments(again) == assignments(handouts) != assignments(other)


class TestOutcomes:
    def test_states_and_intermediate_values(self, make: Callable[..., Ledger]) -> None:
        ledger = make(MIXED, trials=4)
        numbers = [handout.number for _ in range(4) if (handout := ledger.next())]
        for number in numbers:
            ledger.report(number, 1, 0.1)
            ledger.report(number, 2, 0.2)
            ledger.report(number, 2, 0.9)
        ledger.annotate(0, note="x")
        ledger.finish(0, DONE)
        ledger.finish(1, Outcome("stopped_early", 0.2))
        ledger.finish(2, Outcome("failed", 0.2, "it broke"))
        ledger.finish(3, Outcome("finished", None))
        ledger.finish(0, Outcome("failed"))
        ledger.report(0, 3, 0.7)
        trials = ledger.study.trials
        assert [t.state for t in trials] == [
            TrialState.COMPLETE,
            TrialState.PRUNED,
            TrialState.FAIL,
            TrialState.FAIL,
        ]
        assert all(t.intermediate_values == {1: 0.1, 2: 0.2} for t in trials)
        assert trials[0].value == 0.5
        assert trials[1].value == 0.2
        assert trials[0].user_attrs["note"] == "x"
        assert trials[0].user_attrs["outcome"] == {
            "status": "finished",
            "reason": None,
            "epochs": 3,
            "seconds": 0.25,
        }
        assert trials[2].user_attrs["outcome"]["reason"] == "it broke"

    def test_a_duplicate_takes_the_earlier_result_and_no_budget(self, make: Callable[..., Ledger]) -> None:
        baselines = ({"kind": "b", "lr": 0.1}, {"kind": "b", "lr": 0.1}, {"kind": "b", "lr": 0.2})
        ledger = make(MIXED, baselines=baselines, trials=3)
        handouts = drain(ledger, lambda values: values["lr"])
        assert [h.number for h in handouts] == [0, 2, 3]
        copy = ledger.study.trials[1]
        assert copy.user_attrs["duplicate_of"] == 0
        assert (copy.state, copy.value, copy.intermediate_values) == (TrialState.COMPLETE, 0.1, {1: 0.1})

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            (Outcome("finished", 0.3), TrialState.COMPLETE),
            (Outcome("stopped_early", 0.3), TrialState.PRUNED),
            (Outcome("failed", None, "x"), TrialState.FAIL),
        ],
    )
    def test_a_duplicate_of_a_running_trial_waits(
        self, make: Callable[..., Ledger], outcome: Outcome, state: TrialState
    ) -> None:
        baselines = ({"kind": "b", "lr": 0.1}, {"kind": "b", "lr": 0.1})
        ledger = make(MIXED, baselines=baselines, trials=2)
        first, second = ledger.next(), ledger.next()
        assert first is not None
        assert second is not None
        assert (first.number, second.number) == (0, 2)
        assert ledger.study.trials[1].state == TrialState.RUNNING
        ledger.report(0, 1, 0.3)
        ledger.finish(0, outcome)
        copy = ledger.study.trials[1]
        assert copy.state == state
        assert copy.intermediate_values == {1: 0.3}
        assert copy.value == (None if state == TrialState.FAIL else 0.3)


class TestResume:
    def test_running_trials_are_handed_out_again_once(self, make: Callable[..., Ledger]) -> None:
        whole = assignments(drain(make(MIXED, "whole", trials=6, sampler="random")))
        killed = make(MIXED, trials=6, sampler="random")
        handouts = [handout for _ in range(3) if (handout := killed.next())]
        killed.report(0, 1, 0.1)
        killed.report(1, 1, 0.1)
        killed.finish(1, DONE)
        before = killed.study.trials[1]
        del killed

        resumed = make(MIXED, trials=6, sampler="random")
        again = [resumed.next(), resumed.next()]
        assert again == [
            Handout(0, handouts[0].assignment, 0, continued=True),
            Handout(2, handouts[2].assignment, 0, continued=True),
        ]
        resumed.report(0, 1, 0.9)
        resumed.report(0, 2, 0.95)
        resumed.finish(0, DONE)
        resumed.finish(2, DONE)
        rest = drain(resumed)
        assert [h.number for h in rest] == [3, 4, 5]
        assert not any(h.continued for h in rest)
        trials = resumed.study.trials
        assert [t.state for t in trials] == [TrialState.COMPLETE] * 6
        assert [t.user_attrs["assignment"] for t in trials] == whole
        assert trials[1] == before
        assert trials[0].intermediate_values == {1: 0.1, 2: 0.95}
        assert make(MIXED, trials=6, sampler="random").next() is None

    def test_a_larger_budget_goes_on(self, make: Callable[..., Ledger]) -> None:
        drain(make(MIXED, trials=2))
        assert [h.number for h in drain(make(MIXED, trials=4))] == [2, 3]

    def test_waiting_duplicates_are_resolved(self, make: Callable[..., Ledger]) -> None:
        baselines = ({"kind": "b", "lr": 0.1}, {"kind": "b", "lr": 0.1})
        killed = make(MIXED, baselines=baselines, trials=2)
        killed.next()
        killed.next()
        killed.finish(2, DONE)
        del killed
        resumed = make(MIXED, baselines=baselines, trials=2)
        assert resumed.study.trials[1].state == TrialState.RUNNING
        handout = resumed.next()
        assert handout is not None
        assert (handout.number, handout.continued) == (0, True)
        assert resumed.next() is None
        resumed.finish(0, Outcome("finished", 0.8))
        assert resumed.study.trials[1].value == 0.8

    def test_a_copy_that_was_not_written_is_made_up_for(self, make: Callable[..., Ledger]) -> None:
        killed = make(MIXED, baselines=({"kind": "b", "lr": 0.1}, {"kind": "b", "lr": 0.1}), trials=2)
        killed.next()
        killed.next()
        killed._waiting.clear()
        killed.finish(0, DONE)
        assert killed.study.trials[1].state == TrialState.RUNNING
        assert make(MIXED, trials=2).study.trials[1].value == 0.5

    def test_a_baseline_that_was_only_asked_for_is_not_lost(self, make: Callable[..., Ledger]) -> None:
        baselines = ({"kind": "b", "lr": 0.1}, {"kind": "b", "lr": 0.2})
        make(MIXED, baselines=baselines, trials=3).study.ask()
        resumed = make(MIXED, baselines=baselines, trials=3)
        handouts = drain(resumed)
        assert len(handouts) == 3
        assert sorted(a["lr"] for a in assignments(handouts[:2])) == [0.1, 0.2]
        assert resumed.study.trials[0].state == TrialState.FAIL
        drain(make(MIXED, baselines=baselines, trials=3))
        assert len(make(MIXED, trials=3).study.trials) == 4

    def test_no_sweep_here(self, tmp_path: Path, make: Callable[..., Ledger]) -> None:
        with pytest.raises(ConfigError, match=r"holds no sweep: it has no study\.journal\.$"):
            load_study(tmp_path)
        drain(make(MIXED, trials=1))
        assert len(load_study(tmp_path / "s").trials) == 1


class TestLosses:
    def test_it_is_handed_out_again_before_anything_new(self, make: Callable[..., Ledger]) -> None:
        ledger = make(MIXED, trials=3)
        first, second = ledger.next(), ledger.next()
        assert first is not None
        assert second is not None
        assert ledger.lost(0, "died") is None
        assert ledger.next() == Handout(0, first.assignment, 0, continued=True)
        third = ledger.next()
        assert third is not None
        assert third.number == 2
        assert ledger.next() is None
        assert ledger.lost(1, "died") is None
        assert ledger.next() == Handout(1, second.assignment, 0, continued=True)
        assert ledger.next() is None
        assert ledger.handed_out == 3

    @pytest.mark.parametrize(
        ("kind", "limits", "attempts"),
        [
            ("died", {"max_retries": 2, "max_preemptions": 0}, 3),
            ("preempted", {"max_retries": 0, "max_preemptions": 4}, 5),
            ("out_of_memory", {"max_retries": 9, "max_preemptions": 9}, 1),
            ("died", {"max_retries": 0}, 1),
        ],
    )
    def test_as_often_as_its_kind_allows(
        self, make: Callable[..., Ledger], kind: Any, limits: dict[str, int], attempts: int
    ) -> None:
        ledger = make(MIXED, trials=1, **limits)
        assert ledger.next() is not None
        for _ in range(attempts - 1):
            assert ledger.lost(0, kind) is None
            assert ledger.next() is not None
        assert ledger.lost(0, kind) == attempts
        assert ledger.next() is None
        ledger.finish(0, Outcome("failed", None, "it died."))
        assert ledger.study.trials[0].state == TrialState.FAIL

    def test_kinds_and_trials_are_counted_apart(self, make: Callable[..., Ledger]) -> None:
        ledger = make(MIXED, trials=2, max_retries=1, max_preemptions=1)
        ledger.next()
        ledger.next()
        assert [ledger.lost(n, k) for n in (0, 1) for k in ("died", "preempted")] == [None] * 4
        assert ledger.lost(0, "preempted") == 2
        assert [t.user_attrs["losses"] for t in ledger.study.trials] == [
            {"died": 1, "preempted": 2},
            {"died": 1, "preempted": 1},
        ]

    def test_the_counts_go_on_when_the_study_is_opened_again(self, make: Callable[..., Ledger]) -> None:
        killed = make(MIXED, trials=1, max_retries=2)
        killed.next()
        killed.lost(0, "died")
        del killed
        resumed = make(MIXED, trials=1, max_retries=2)
        # Being killed with the sweep is nobody's loss of a process.
        assert resumed.next() is not None
        assert resumed.lost(0, "died") is None
        assert resumed.next() is not None
        assert resumed.lost(0, "died") == 3

    def test_what_waits_for_its_result_goes_on_waiting(self, make: Callable[..., Ledger]) -> None:
        ledger = make(MIXED, baselines=({"kind": "b", "lr": 0.1},) * 2, trials=2)
        ledger.next()
        ledger.next()
        ledger.lost(0, "died")
        assert ledger.study.trials[1].state == TrialState.RUNNING
        ledger.next()
        ledger.finish(0, Outcome("finished", 0.8))
        assert ledger.study.trials[1].value == 0.8

    def test_asking_again_at_the_end_draws_nothing_more(self, make: Callable[..., Ledger]) -> None:
        ledger = make(FINITE, trials=50)
        drain(ledger)
        trials = len(ledger.study.trials)
        assert [ledger.next() for _ in range(5)] == [None] * 5
        assert len(ledger.study.trials) == trials


@pytest.mark.parametrize("search", [{"trials": 12, "sampler": "random"}, {"exhaustive": True}])
def test_no_trial_costs_a_reading_of_all_trials(
    make: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch, search: dict[str, Any]
) -> None:
    def refuse(**_: Any) -> None:
        raise AssertionError("every trial was read for one trial")

    spec = {"kind": ["a", "b"], "depth": {"int": [1, 4], "when": {"kind": "a"}}, "flag": [True, False]}
    baselines = ({"kind": "b", "flag": True},) * 3
    ledger = make(spec, baselines=baselines, **search)
    with monkeypatch.context() as patch:
        patch.setattr(ledger.study, "get_trials", refuse)
        drain(ledger)
    trials = ledger.study.get_trials(deepcopy=False)
    assert ledger._created == len(trials)
    assert ledger._enqueued == sum(trial.state == TrialState.WAITING for trial in trials)
    assert sum("duplicate_of" in trial.user_attrs for trial in trials) >= 2
    reopened = make(spec, baselines=baselines, **search)
    assert (reopened._created, reopened._enqueued) == (ledger._created, ledger._enqueued)


def test_no_trial_costs_a_look_at_every_stored_trial(
    make: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the storage looked at every trial for one trial")

    ledger = make(MIXED, baselines=({"kind": "b", "lr": 0.1},), trials=10, sampler="random")
    assert ledger.next() is not None  # the baseline, which Optuna itself looks for
    monkeypatch.setattr(ledger.study._storage, "get_all_trials", refuse)
    assert len(drain(ledger)) == 9


def test_tpe_learns_a_conditional_space(make: Callable[..., Ledger]) -> None:
    def value(values: dict[str, Any]) -> float:
        import math

        bonus = 0.5 * values["depth"] if values["kind"] == "a" else 0.0
        return bonus - abs(math.log10(values["lr"]) + 1.0)

    def last_mean(sampler: str) -> float:
        handouts = drain(make(MIXED, sampler, trials=60, sampler=sampler), value)
        return sum(value(h.assignment) for h in handouts[-20:]) / 20

    assert last_mean("tpe") > last_mean("random") + 0.3
