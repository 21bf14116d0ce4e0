"""Interactions between modules of a network, planted to be found, and how well a model finds them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Dataset, Target
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import Split
from gisearch.models.base import FittedModel, Model
from gisearch.models.batch import GenotypeBatch
from gisearch.training.target import training_targets

MODULES, GENES = 6, 60
# Held out of every training genotype where asked for: two genes of each module.
UNSEEN = np.arange(2 * MODULES)


def planted(
    kind: Literal["regression", "binary"] = "regression",
    *,
    unseen: bool = False,
    permute: Literal["train", "rest"] | None = None,
) -> Dataset:
    """Return pairs whose label depends on their genes' modules, and a network of neighbours in modules.

    Args:
        kind: what the label is.
        unseen: whether validation and test pairs hold a gene that no training pair holds.
        permute: whose labels are shuffled.
    """
    random = np.random.default_rng(0)
    module = np.arange(GENES) % MODULES
    strength = random.normal(size=(MODULES, MODULES))
    strength = strength + strength.T
    # No module interacts more than others do: genes' effects tell nothing.
    strength = strength - strength.mean(0) - strength.mean(1, keepdims=True) + strength.mean()
    first, second = np.triu_indices(GENES, 1)
    labels = strength[module[first], module[second]] + 0.5 * random.normal(size=len(first))
    near = (module[first] == module[second]) & (random.random(len(first)) < 0.5)
    network = Network.from_pairs(
        "near", np.stack([first[near], second[near]]), directed=False, num_genes=GENES
    )
    order = random.permutation(len(first))
    held = np.isin(first, UNSEEN) | np.isin(second, UNSEEN) if unseen else order < 500
    train, rest = np.flatnonzero(~held)[:900], np.flatnonzero(held)
    rows = {"train": train, "rest": rest}.get(permute or "", np.arange(0))
    labels[rows] = labels[random.permutation(rows)]
    if kind == "binary":
        labels = (labels < -0.5).astype(np.float64)
    name = "label"
    genotypes = Genotypes.build(
        np.stack([first, second, np.full(len(first), -1)], axis=1),
        {name: labels},
        binary=frozenset({name} if kind == "binary" else ()),
        num_genes=GENES,
    )
    split = Split(train, rest[::2], rest[1::2], np.zeros(len(first), dtype=np.int8))
    cell = CellGraph(GeneNames(tuple(f"G{i}" for i in range(GENES))), {"near": network})
    return Dataset(cell, genotypes, split, Target(name, kind))


def training_batch(dataset: Dataset) -> GenotypeBatch:
    """Return the training genotypes."""
    return GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.train))


def fit(model: Model, dataset: Dataset) -> Model:
    """Train on the training part, without a look at the rest."""
    batch, targets = training_batch(dataset), training_targets(dataset)
    if isinstance(model, FittedModel):
        model.fit_epoch(batch, targets)
        return model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=1.0)
    for _ in range(150):
        optimizer.zero_grad()
        model.training_loss(batch, targets).backward()
        optimizer.step()
    return model.eval()


def found(model: Model, dataset: Dataset) -> float:
    """Return the test part's correlation, or AUROC, with the scores of a trained model."""
    from sklearn.metrics import roc_auc_score

    test = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test))
    with torch.inference_mode():
        scores = model(test).score.numpy()
    if dataset.target.kind == "binary":
        return float(roc_auc_score(dataset.values("test"), scores))
    return float(np.corrcoef(scores, dataset.values("test"))[0, 1])
