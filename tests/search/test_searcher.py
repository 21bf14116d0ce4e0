from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from gisearch.errors import ConfigError
from gisearch.search.config import SearchConfig
from gisearch.search.ledger import Handout, Ledger, Outcome
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.searcher import LedgerSearcher
from gisearch.search.study import open_study
from gisearch.training.metrics import Objective

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


class Witness:
    """Writes down what it hears."""

    def __init__(self, heard: list[Any], name: str) -> None:
        self.heard, self.name = heard, name

    def on_start(self, handout: Handout, config: Any) -> None:
        self.heard.append((self.name, "start", handout.number))

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        self.heard.append((self.name, "epoch", number, epoch, best, dict(metrics)))

    def on_end(self, number: int, outcome: Outcome) -> None:
        self.heard.append((self.name, "end", number, outcome.status))


@pytest.fixture
def plan(tmp_path: Path) -> SweepPlan:
    (tmp_path / "s.yaml").write_text(SPACE)
    return plan_sweep(tmp_path / "s.yaml")


@pytest.fixture
def searcher(tmp_path: Path, plan: SweepPlan) -> LedgerSearcher:
    study = open_study(tmp_path, "s", Objective("val/pearson", "max"))
    ledger = Ledger(study, plan.space, plan.config.search, baselines=plan.baselines)
    heard: list[Any] = []
    made = LedgerSearcher(plan, ledger, tmp_path, [Witness(heard, "a"), Witness(heard, "b")])
    made.heard = heard
    return made


def epoch(number: int, value: float, **more: Any) -> dict[str, Any]:
    facts = {"epoch": number, "objective": value, "best_epoch": number, "train_seconds": 0.5 * number}
    return {**facts, "metrics": json.dumps({"val/pearson": value}), "finished": False, **more}


def state(searcher: LedgerSearcher, number: int) -> tuple[str, Any]:
    trial = searcher.ledger.study.trials[number]
    return trial.state.name, trial.user_attrs["outcome"]


def test_a_suggestion_is_the_whole_experiment(searcher: LedgerSearcher, tmp_path: Path) -> None:
    found = searcher.suggest("x")
    assert isinstance(found, dict)
    assert found["number"] == 0
    assert found["folder"] == str((tmp_path / "trials" / "t0000").resolve())
    assert found["experiment"]["data"]["cell"]["num_genes"] == 40
    for name in "yzw":
        assert isinstance(searcher.suggest(name), dict)
    assert searcher.suggest("v") == Searcher.FINISHED


def test_outcomes(searcher: LedgerSearcher) -> None:
    for name in ("finished", "stopped", "failed", "died"):
        searcher.suggest(name)
        searcher.on_trial_result(name, epoch(1, 0.25))
    summary = json.dumps({"parameters": {"total": 7}, "subgroups": {}})
    last = epoch(2, 0.5, finished=True, summary=summary, time_total_s=9.0)
    searcher.on_trial_result("finished", last)
    searcher.on_trial_complete("finished", last)
    searcher.on_trial_complete("stopped", epoch(1, 0.25))
    searcher.on_trial_result("failed", {"failure": "NaN in the encoder.", "finished": True})
    searcher.on_trial_complete("failed", {"failure": "NaN in the encoder.", "finished": True})
    searcher.on_trial_complete("died", None, error=True)

    name, outcome = state(searcher, 0)
    assert name == "COMPLETE"
    assert outcome["status"] == "finished"
    assert outcome["parameters"] == {"total": 7}
    assert (outcome["epochs"], outcome["best_epoch"], outcome["seconds"], outcome["wall_seconds"]) == (
        2,
        2,
        1.0,
        9.0,
    )
    assert searcher.ledger.study.trials[0].value == 0.5
    assert state(searcher, 1)[0] == "PRUNED"
    assert state(searcher, 1)[1]["status"] == "stopped_early"
    assert state(searcher, 2)[0] == "FAIL"
    assert state(searcher, 2)[1]["reason"] == "NaN in the encoder."
    assert state(searcher, 2)[1]["epochs"] == 1
    assert state(searcher, 3)[1]["reason"] == "the worker process died and was retried 2 times."


def test_observers_hear_everything_in_order(searcher: LedgerSearcher) -> None:
    searcher.suggest("x")
    searcher.on_trial_result("x", epoch(1, 0.25))
    searcher.on_trial_complete("x", epoch(1, 0.25, finished=True))
    searcher.on_trial_complete("x", None)
    searcher.on_trial_complete("never seen", None)
    expected = [("start", 0), ("epoch", 0, 1, 0.25, {"val/pearson": 0.25}), ("end", 0, "finished")]
    assert searcher.heard == [(name, *event) for event in expected for name in "ab"]


def test_a_configuration_that_does_not_fit_is_recorded_and_passed_over(searcher: LedgerSearcher) -> None:
    whole = searcher.plan

    def configure(assignment: Mapping[str, Any], seed: int | None = None) -> Any:
        if assignment["trainer.accumulate"] == 1:
            raise ConfigError("it does not fit.")
        return whole.configure(assignment, seed)

    searcher.plan = SimpleNamespace(configure=configure, config=whole.config)
    found = searcher.suggest("x")
    assert isinstance(found, dict)
    assert found["number"] == 1
    assert state(searcher, 0) == ("FAIL", {"status": "failed", "reason": "it does not fit."})


def test_tune_may_copy_and_save_it(searcher: LedgerSearcher, tmp_path: Path) -> None:
    assert copy.deepcopy(searcher) is searcher
    assert type(pickle.loads(pickle.dumps(searcher))) is Searcher
    searcher.save(str(tmp_path / "state"))
    searcher.restore(str(tmp_path / "state"))
    assert (tmp_path / "state").read_bytes() == b""
    assert searcher.get_state() == {}


def test_the_reason_counts_the_retries() -> None:
    from gisearch.search.searcher import _outcome

    assert SearchConfig().max_retries == 2
    found = _outcome({}, {"epoch": 3, "objective": 0.5}, error=True, retries=5)
    assert (found.status, found.value) == ("failed", 0.5)
    assert found.reason == "the worker process died and was retried 5 times."


def test_the_epoch_that_stops_a_trial_is_recorded_too(searcher: LedgerSearcher) -> None:
    searcher.suggest("x")
    searcher.on_trial_result("x", epoch(1, 0.25))
    searcher.on_trial_complete("x", epoch(2, 0.5))
    trial = searcher.ledger.study.trials[0]
    assert (trial.state.name, trial.value, trial.intermediate_values) == ("PRUNED", 0.5, {1: 0.25, 2: 0.5})
    assert ("a", "epoch", 0, 2, 0.5, {"val/pearson": 0.5}) in searcher.heard


def test_epochs_that_a_retried_worker_repeats_are_told_once(searcher: LedgerSearcher) -> None:
    searcher.suggest("x")
    for number in (1, 2, 3, 2, 3, 4):
        searcher.on_trial_result("x", epoch(number, 0.25))
    assert [event[3] for event in searcher.heard if event[:2] == ("a", "epoch")] == [1, 2, 3, 4]
