"""A finished sweep in MLflow, for the notebook that reads one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.answers.sweeps import write_sweep


@pytest.fixture(scope="session")
def recorded_sweep(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep of 24 trials, recorded without Ray in ``mlflow.db`` beside it."""
    from gisearch.data.load import load_dataset
    from gisearch.search import conclusion
    from gisearch.search.folders import SPACE_FILE, read_facts, write_facts
    from gisearch.search.ledger import Handout, Outcome
    from gisearch.search.plan import plan_sweep
    from gisearch.search.recorder import Recorder, sweep_question
    from gisearch.search.results import load_results
    from gisearch.tracking.config import TrackingConfig
    from gisearch.tracking.mlflow_tracker import SweepTracker
    from gisearch.tracking.provenance import collect_provenance
    from gisearch.tracking.store import open_store
    from gisearch.training.objective import Objective

    root = tmp_path_factory.mktemp("recorded")
    shutil.copy(empty_database, root / "mlflow.db")
    folder = write_sweep(root / "study")
    plan = plan_sweep(folder / SPACE_FILE)
    dataset = load_dataset(plan.config.data)
    objective = Objective.resolve(plan.config.objective, dataset.target)
    space = [parameter.path for parameter in plan.space.parameters]
    settings = {"mode": objective.mode, "space": space, "tracking": {"register": False}}
    write_facts(folder, {**read_facts(folder), **settings})

    tracker = SweepTracker(open_store(TrackingConfig(uri=f"sqlite:///{root / 'mlflow.db'}")), folder)
    question = sweep_question(folder, plan, dataset, objective)
    tracker.start(folder.name, {}, collect_provenance(), "", dataset=question.dataset)
    recorder = Recorder(tracker, objective)
    for row in sorted(load_results(folder).rows, key=lambda row: row.number):
        handout = Handout(row.number, dict(row.params), seed=0)
        recorder.on_start(handout, plan.configure(row.params, 0))
        for epoch, value in row.curve:
            recorder.on_epoch(row.number, epoch, value, {objective.metric: value})
        facts = {"epochs": row.epochs, "seconds": row.seconds, **row.facts}
        recorder.on_end(row.number, Outcome(row.status, row.value, row.reason, facts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conclusion, "draw", lambda results: {})  # seconds, and the notebook draws its own
        messages = conclusion.conclude(folder, dataset, tracker, question, interrupted=False)
    assert messages == []
    return folder
