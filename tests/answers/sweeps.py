"""A sweep made by hand, for the tests of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gisearch.data.load import load_dataset
from gisearch.search.conclusion import save_best
from gisearch.search.folders import SPACE_FILE, write_facts
from gisearch.search.ledger import Ledger, Outcome
from gisearch.search.plan import plan_sweep
from gisearch.search.results import load_results
from gisearch.search.study import open_study
from gisearch.training.experiment import run_experiment
from gisearch.training.objective import Objective

SPACE = """
name: study
question: Is attention worth it?
base: [model=dango_gi, data=demo_tiny, trainer.max_epochs=1, trainer.device=cpu]
space:
  model.encoder.graph_aggregation: [cross_attention, sum]
  model.local_predictor.enabled: [true, false]
  model.combination: {choice: [gating, concat], when: {model.local_predictor.enabled: true}}
  optimizer.lr: {float: [1.0e-4, 1.0e-1], log: true}
baselines:
  - {model.encoder.graph_aggregation: sum, model.local_predictor.enabled: true, model.combination: gating}
search: {trials: 24, sampler: random}
"""
FAILURE = "epoch 1: stage 'x' <b>produced</b> NaN & more."


def made_up_score(assignment: Mapping[str, Any]) -> float:
    """Return a score that attention decides, with a little of the learning rate."""
    attention = assignment["model.encoder.graph_aggregation"] == "cross_attention"
    return 0.5 + 0.3 * attention + 0.02 * math.log10(assignment["optimizer.lr"])


def write_sweep(folder: Path) -> Path:
    """Write a sweep of 24 trials with made-up scores, whose best model has really been trained.

    Of its trials t0005 failed and t0007 was stopped early.
    """
    folder.mkdir(parents=True)
    (folder / SPACE_FILE).write_text(SPACE)
    plan = plan_sweep(folder / SPACE_FILE)
    dataset = load_dataset(plan.config.data)
    objective = Objective.resolve(plan.config.objective, dataset.target)
    ledger = Ledger(
        open_study(folder, "study", objective), plan.space, plan.config.search, baselines=plan.baselines
    )
    while (handout := ledger.next()) is not None:
        number, value = handout.number, made_up_score(handout.assignment)
        if number == 5:
            ledger.finish(number, Outcome("failed", None, FAILURE, {}))
            continue
        epochs = 2 if number == 7 else 4
        for epoch in range(1, epochs + 1):
            ledger.report(number, epoch, value - 0.1 * (epochs - epoch))
        groups = {"val/unseen_0/pearson": value, "val/order_2/pearson": value + 0.01}
        summary = {"epochs": epochs, "seconds": 2.0, "subgroups": groups, "parameters": {"total": 1000}}
        status = "stopped_early" if number == 7 else "finished"
        ledger.finish(number, Outcome(status, value, None, summary))
    facts = {
        "name": "study",
        "question": plan.question,
        "metric": objective.metric,
        "target": dataset.target.name,
        "noise_ceiling": 0.9,
        "data": dataset.digest(),
        "left_out": ["left out for unknown genes such as 'OLD1': 1 of 2 rows of network net (50.0 %)"],
        "overrides": [],
        "tracking": {"enabled": False},
        "provenance": {
            "git.commit": "0123abc",
            "git.dirty": "false",
            "version.torch": "2.9",
            "started": "now",
        },
    }
    write_facts(folder, facts)
    results = load_results(folder)
    assert results.best is not None
    run_experiment(plan.configure(results.best.params), dataset, folder=results.trial_folder(results.best))
    save_best(results, dataset)
    return folder
