"""BoostedTrees: gradient-boosted trees on features of networks and genes. What needs no deep learning.

The trees know a gene by its place in the networks and its features, never by its name. A network model that
does not beat them has learnt nothing that degrees and common neighbours do not say.
"""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.errors import CheckpointError
from gisearch.models.base import FittedModel, Prediction
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.boosted_trees import GrowthConfig
from gisearch.models.layers.genotype_features import GenotypeFeatures
from gisearch.models.layers.tree_ensemble import TreeEnsemble
from gisearch.models.targets import Targets


@plain_dataclass
class _Fit:
    """What growing goes on with: a booster with the model's trees, and its data.

    Attributes:
        booster: scikit-learn's, with the trees so far.
        batch: the training genotypes.
        targets: their labels.
        features: their features, [B, F].
        scores: what the trees so far give them, [B].
    """

    booster: Any
    batch: GenotypeBatch
    targets: Targets
    features: Tensor
    scores: Tensor


class BoostedTrees(FittedModel):
    """Scores genotypes by boosted trees that scikit-learn grows and PyTorch evaluates.

    Histogram gradient boosting (Ke et al. 2017, LightGBM, NeurIPS 30), on squared errors or, for a binary
    target, on the log loss of logits.
    """

    def __init__(self, cell: CellGraph, target: Target, config: GrowthConfig) -> None:
        super().__init__()
        self.config, self.is_binary = config, target.kind == "binary"
        self.features = GenotypeFeatures(
            cell, cell.select(config.networks), cell.select_features(config.features)
        )
        self.trees = TreeEnsemble(2 * config.max_leaf_nodes - 1)
        # Decides which genotypes set the limits of the histograms' bins, where there are very many.
        self.seed = int(torch.randint(2**31 - 1, ()))
        self._fit: _Fit | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""
        for parameter in self.trees.parameters():
            self.monitor.watch("trees", parameter)
        score = self.trees(self.describe(batch)).float()
        return Prediction(self.monitor.watch("score", score))

    def fit_epoch(self, batch: GenotypeBatch, targets: Targets) -> float:
        """Add ``trees_per_epoch`` trees; return the loss with them.

        scikit-learn cannot go on from trees alone: after ``load_state_dict`` the loaded ones are grown again,
        which gives the same trees from the same data.

        Raises:
            CheckpointError: it gives other trees than those that were loaded.
        """
        fit = self._fit
        if fit is None or fit.batch is not batch or fit.targets is not targets:
            fit = self._fit = self._repeat(batch, targets)
        before = len(self.trees)
        self._grow(fit)
        self._take(fit.booster)
        fit.scores = fit.scores + self.trees(fit.features, first=before)
        return float(targets.loss(fit.scores.float()))

    def describe(self, batch: GenotypeBatch) -> Tensor:
        """Return the features of B genotypes, float64 [B, F]."""
        features: Tensor = self.features(batch)
        return features

    def describe_training(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Return the training genotypes' features, float64 [n, F]; none knows its own label."""
        return self.out_of_fold(batch, lambda model, part: model.features(part))

    def num_parameters(self) -> dict[str, int]:
        """Return the number of values that the trees' leaves hold; none is trained by gradients."""
        leaves = self.trees.num_leaves()
        return {"trees": leaves, "total": leaves}

    def _repeat(self, batch: GenotypeBatch, targets: Targets) -> _Fit:
        """Return a booster with the trees that the model has, grown as they were: epoch by epoch."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind = HistGradientBoostingClassifier if self.is_binary else HistGradientBoostingRegressor
        booster = kind(
            learning_rate=self.config.learning_rate,
            max_leaf_nodes=self.config.max_leaf_nodes,
            min_samples_leaf=self.config.min_samples_leaf,
            l2_regularization=self.config.l2_regularization,
            max_features=self.config.max_features,
            max_iter=0,
            warm_start=True,
            early_stopping=False,
            random_state=self.seed,
        )
        features = self.describe_training(batch, targets)
        fit = _Fit(booster, batch, targets, features, torch.zeros_like(features[:, 0]))
        loaded = {name: value.clone() for name, value in self.trees.state_dict().items()}
        while booster.max_iter < len(loaded["value"]):
            self._grow(fit)
        if booster.max_iter:
            self._take(booster)
            if not all(torch.equal(value, loaded[name]) for name, value in self.trees.state_dict().items()):
                self.trees.load_state_dict(loaded)
                raise CheckpointError(
                    "the loaded trees cannot be continued: this data and this version of scikit-learn give "
                    "other ones; expected those that the run was started with."
                )
            fit.scores = self.trees(features)
        return fit

    def _grow(self, fit: _Fit) -> None:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        x = fit.features.cpu().numpy()
        y = fit.targets.main.cpu().numpy().astype(np.int64 if self.is_binary else np.float64)
        fit.booster.set_params(max_iter=fit.booster.max_iter + self.config.trees_per_epoch)
        # One thread: sums over several come in no fixed order, and trees would differ in the last digits.
        with threadpool_limits(1):
            fit.booster.fit(x, y)

    def _take(self, booster: Any) -> None:
        # scikit-learn has no public access to the trees; the tests compare the scores with its own.
        trees = [predictor.nodes for (predictor,) in booster._predictors]
        self.trees.replace(float(booster._baseline_prediction.item()), trees)


def _forget(model: BoostedTrees, _: Any) -> None:
    """The trees were loaded: what has been fitted does not belong to them."""
    model._fit = None
