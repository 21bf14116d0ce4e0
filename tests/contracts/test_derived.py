"""Every model takes derived networks, and its own label never reaches a genotype while it trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.config import assign, build, to_plain
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset
from gisearch.models.base import FittedModel
from gisearch.models.batch import GenotypeBatch
from gisearch.models.registry import MODELS
from gisearch.models.targets import Targets
from gisearch.training.cells import cell_of, derived_cells
from gisearch.training.config import ExperimentConfig
from gisearch.training.cross_fitting import CrossFit, StepModels
from gisearch.training.experiment import build_model, load_trained, run_experiment
from tests.contracts.case import case_of

DERIVED: dict[str, Any] = {
    "derived.negative": True,
    "derived.positive": True,
    "derived.threshold": 0.0,
    "derived.profile.similarity": "both",
    "derived.profile_features": 4,
    "derived.folds": 3,
}


def experiment_of(model: str, **changes: object) -> ExperimentConfig:
    options = {**case_of(model).base, **changes}
    values: dict[str, Any] = {
        "data": to_plain(compose_data(["data=demo_tiny", "data.target=fitness"])),
        "model": to_plain(build(MODELS[model], assign({"name": model}, options))),
        "trainer": {"max_epochs": 2, "batch_size": 40},
    }
    return build(ExperimentConfig, assign(values, DERIVED))


def training_outputs(config: ExperimentConfig, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Return what training sees of every genotype, its fold's scores or features, and the folds."""
    cells = derived_cells(config, dataset)
    fold = torch.from_numpy(cells.fold)
    torch.manual_seed(0)
    model = build_model(config, dataset)
    models = StepModels(
        model,
        torch.device("cpu"),
        CrossFit(fold, lambda i: config.model.build(cells.folds[i], dataset.target), len(cells.folds)),
    )
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.train))
    if isinstance(model, FittedModel):
        fitted: Any = model
        # Not standardised: by their common mean every label would reach every genotype.
        targets = Targets("fitness", {"fitness": torch.from_numpy(dataset.values("train"))})
        rows: Tensor = fitted.describe_training(batch, targets)
        return rows.nan_to_num(-1.0), fold
    scores = torch.zeros(len(batch))
    for i, sibling in enumerate(models.models):
        own = fold == i
        scores[own] = sibling.eval()(batch[own]).score.detach()
    return scores, fold


def outputs_with_another_label(config: ExperimentConfig, dataset: Dataset) -> tuple[Tensor, Tensor, Tensor]:
    """Return what training sees before and after one label changes, and who is in that genotype's fold."""
    before, fold = training_outputs(config, dataset)
    pairs = np.flatnonzero(dataset.genotypes.order[dataset.split.train] == 2)
    position = int(pairs[3])
    values = dataset.genotypes.labels["fitness"].copy()
    values[dataset.split.train[position]] += 3.0
    labels = {**dataset.genotypes.labels, "fitness": values}
    after, same_fold = training_outputs(
        config, replace(dataset, genotypes=replace(dataset.genotypes, labels=labels))
    )
    assert torch.equal(fold, same_fold)
    return before, after, fold == fold[position]


def test_a_genotype_s_own_label_does_not_reach_it_in_training(model_name: str, dataset: Dataset) -> None:
    config = experiment_of(model_name)
    if not config.model.reads_derived:
        assert cell_of(config, dataset) is dataset.cell, "it is never given what knows labels"
        return
    before, after, own = outputs_with_another_label(config, dataset)
    assert torch.equal(after[own], before[own]), "its fold sees nothing of the change"
    if model_name in ("additive", "bilinear"):
        assert torch.equal(after, before), "they read no network"
    else:
        assert not torch.equal(after[~own], before[~own]), "the other folds do"


def test_nor_does_it_as_evidence(dataset: Dataset) -> None:
    """The encoder reads a network without labels alone: what changes does so by the evidence pathway."""
    evidence = {"evidence_predictor.enabled": True, "encoder.networks": ["physical"]}
    before, after, own = outputs_with_another_label(experiment_of("dango_gi", **evidence), dataset)
    assert torch.equal(after[own], before[own])
    assert ((after[~own] - before[~own]).abs() > 1e-6).float().mean() > 0.5, "similar genes tell many others"


@pytest.mark.slow
def test_trains_on_what_is_derived_and_is_loaded_with_it(
    model_name: str, dataset: Dataset, tmp_path: Path
) -> None:
    config = experiment_of(model_name)
    result = run_experiment(config, dataset, folder=tmp_path)
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.val))
    scores, _ = load_trained(tmp_path, dataset).predict(batch)
    measured = torch.from_numpy(dataset.values("val"))
    correlation = torch.corrcoef(torch.stack([scores.float(), measured]))[0, 1]
    assert float(correlation) == pytest.approx(result.value, abs=1e-4)
