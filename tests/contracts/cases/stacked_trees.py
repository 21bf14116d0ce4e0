"""StackedTrees."""

from __future__ import annotations

from tests.contracts.case import Case

_POSITIVE = {"kernel.profile.positive.plain": 0.2}

CASE = Case(
    # The tiny cell has too few genotypes for leaves of twenty.
    base={
        "min_samples_leaf": 1,
        "l2_regularization": 0.0,
        "max_leaf_nodes": 31,
        "max_features": 1.0,
        "trees_per_epoch": 60,
    },
    contexts={
        "kernel.profile.centring": _POSITIVE,
        "kernel.features.bandwidth": {"kernel.features.weight": 0.5},
        "kernel.features.shape": {"kernel.features.weight": 0.5},
    },
    # In one network alone some of the contracts' genotypes look the same.
    alternatives={
        "networks": [["regulatory", "physical"], ["coexpression", "physical"]],
        "features": [[], ["modules"]],
        "kernel.networks.weights": [{"physical": 0.9}],
        "kernel.features.weights": [{"degrees": 0.9}],
        "kernel.tolerance": [0.3],
    },
    stages={r"trees\..*": "trees", r"state\..*": "state"},
    needs_gradient=False,
    # What trees are trained on, descriptions without their own labels, is not what they are asked about here.
    reaches={"fitness": 0.8, "strong_negative": 0.9},
)
