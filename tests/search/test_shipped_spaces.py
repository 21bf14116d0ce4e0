"""The shipped spaces hold no configuration that cannot be trained."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from gisearch.data.dataset import Dataset
from gisearch.models.batch import GenotypeBatch
from gisearch.resources import resource_folder
from gisearch.search.plan import plan_sweep
from gisearch.training.experiment import build_model
from gisearch.training.target import training_targets

# What leaves the encoders of the default space, at their deepest.
FIXED = (
    "model=dango_gi",
    "model.local_predictor.enabled=false",
    "model.global_predictor.dropout=0.1",
    "model.encoder.dropout=0.0",
    "model.encoder.num_layers=3",
    "model.evidence_predictor.dropout=0.2",
    "derived.threshold=0.0",
    "derived.profile.similarity=raw",
    "derived.folds=5",
    "optimizer.lr=3.0e-2",
    "optimizer.weight_decay=1.0e-4",
)


@pytest.mark.slow
def test_no_encoder_of_the_default_space_begins_far_off(make_dataset: Callable[..., Dataset]) -> None:
    """GIN without norms would: its sums over neighbours give losses of 1e12 against a variance of one."""
    dataset = make_dataset("data=demo")
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.train[:64]))
    targets = training_targets(dataset)[slice(0, 64)]
    plan = plan_sweep(resource_folder("search_spaces") / "dango_gi.yaml", FIXED)
    assignments = list(plan.space.enumerate())
    assert {a["model.encoder.convolution"] for a in assignments} == {"gin", "lightgcn"}
    losses = {}
    for assignment in assignments:
        model = build_model(plan.configure(assignment, seed=0), dataset).train()
        with torch.no_grad():
            losses[str(assignment)] = model.training_loss(batch, targets).item()
    assert {text: loss for text, loss in losses.items() if not math.isfinite(loss) or loss > 1e5} == {}
