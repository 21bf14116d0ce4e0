"""PairwiseKernel."""

from __future__ import annotations

from tests.contracts.case import Case

_POSITIVE = {"profile.positive.plain": 0.2}

CASE = Case(
    # Few steps in an epoch, so that the next one still has something to do.
    base={"iterations": 3, "ridge": 0.02, "orders.first": 1.0, "std_neighbours": 8},
    contexts={
        "tolerance": {"iterations": 60},
        "profile.centring": _POSITIVE,
        "features.bandwidth": {"features.weight": 0.5},
        "features.shape": {"features.weight": 0.5},
    },
    alternatives={
        "networks.weights": [{"physical": 0.9}],
        "features.weights": [{"degrees": 0.9}],
        "calibration_folds": [0],
        "tolerance": [0.3],
    },
    stages={r"state\..*": "state"},
    needs_gradient=False,
    # The ridge of its defaults forbids it; the exact solution of 84 genotypes reaches 0.906.
    reaches={"fitness": 0.89},
)
