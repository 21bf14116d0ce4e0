"""A small searched sweep, and a way to run sweeps in this process, without Ray."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SPACE = """
name: small
question: Which model?
base: [model=dango_gi, data=demo_tiny, trainer.max_epochs=2, model.hidden_dim=8]
space:
  model.name: [dango_gi, additive, boosted_trees]
  model.local_predictor.enabled: [true, false]
  model.local_predictor.num_attention_layers: {int: [1, 2], when: {model.local_predictor.enabled: true}}
  optimizer.lr: {float: [1.0e-3, 3.0e-2], log: true, when: {model.name: [dango_gi, additive]}}
baselines:
  - {model.name: boosted_trees}
  - {model.name: additive, optimizer.lr: 0.01}
  - {model.name: dango_gi, model.local_predictor.enabled: false, optimizer.lr: 0.02}
search: {trials: 5, scheduler: none, sampler: random}
tracking: {enabled: false}
"""


def run_in_process(plan: Any, folder: Path | None, stop_after: int | None) -> Any:
    """Do what ``run_sweep`` does, a trial after the other; ``stop_after`` interrupts it."""
    from gisearch.data.load import load_dataset
    from gisearch.search.folders import trial_folder
    from gisearch.search.ledger import Ledger, Outcome
    from gisearch.search.results import load_results
    from gisearch.search.study import open_study
    from gisearch.search.sweep import SweepOutcome
    from gisearch.search.sweep_folder import sweep_folder
    from gisearch.training.experiment import run_experiment
    from gisearch.training.objective import Objective

    dataset = load_dataset(plan.config.data)
    objective = Objective.resolve(plan.config.objective, dataset.target)
    with sweep_folder(plan, folder, dataset, objective) as own:
        study = open_study(own, own.name, objective)
        search = plan.config.search
        ledger = Ledger(study, plan.space, search, baselines=plan.baselines, seed=plan.config.seed)
        ended = 0
        while (handout := ledger.next()) is not None:
            if ended == stop_after:
                return SweepOutcome(load_results(own), True, ())
            result = run_experiment(
                plan.configure(handout.assignment, handout.seed),
                dataset,
                folder=trial_folder(own, handout.number),
                report=lambda epoch, n=handout.number: ledger.report(n, epoch.epoch, epoch.best_value),
            )
            summary = {
                "epochs": result.epochs,
                "seconds": result.seconds,
                "parameters": dict(result.num_parameters),
            }
            ledger.finish(handout.number, Outcome("finished", result.value, None, summary))
            ended += 1
        return SweepOutcome(load_results(own), False, ())


@pytest.fixture(scope="session")
def searched_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of three models, five trials, two epochs each."""
    from gisearch.search.plan import plan_sweep

    root = tmp_path_factory.mktemp("searched")
    (root / "small.yaml").write_text(SPACE)
    plan = plan_sweep(root / "small.yaml", [f"results.dir='{root / 'results'}'"])
    outcome = run_in_process(plan, None, None)
    folder: Path = outcome.results.folder
    return folder


@pytest.fixture
def searched(searched_once: Path, tmp_path: Path) -> Path:
    """A copy of the finished sweep, to leave answers in."""
    folder = tmp_path / "results" / searched_once.name
    shutil.copytree(searched_once, folder)
    return folder


@pytest.fixture(scope="session")
def run_here() -> Callable[..., Any]:
    """Stand-ins for ``run_sweep``: ``run_here()``, or ``run_here(stop_after=3)`` for an interrupted one."""

    def make(stop_after: int | None = None) -> Any:
        return lambda plan, folder=None, *, console: run_in_process(plan, folder, stop_after)

    return make


@pytest.fixture(scope="session")
def answer_about(
    searched_once: Path, run_here: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Ask a command about a copy of the finished sweep: ``answer_about(confirm.main, "--top", "1")``."""
    from gisearch.answers import comparison
    from gisearch.command_line import run

    def ask(main: Any, *arguments: str) -> Path:
        folder = tmp_path_factory.mktemp("answered") / "results" / searched_once.name
        shutil.copytree(searched_once, folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(comparison, "run_sweep", run_here())
            assert run(main, [str(folder), *arguments]) == 0
        return folder

    return ask
