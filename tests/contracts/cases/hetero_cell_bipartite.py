"""HeteroCellBipartite."""

from __future__ import annotations

from tests.contracts.case import Case
from tests.contracts.cases.hetero_cell import IN_THE_LOSS, NETWORKS, NOT_FOR_FITNESS, SHIFTS, STAGES

CASE = Case(
    base={"hidden_dim": 16},
    # Neither the move between two losses nor the predictor of interactions changes a score of fitness:
    # tests/models/test_hetero_cell_bipartite.py has their effects.
    alternatives={
        **NETWORKS,
        **IN_THE_LOSS,
        "transition_epochs": [],
        "interaction_predictor.num_heads": [],
        "interaction_predictor.dropout": [],
    },
    gradientless={
        **NOT_FOR_FITNESS,
        **SHIFTS,
        r"pooling\..*\.transform\.bias": "a shift of all features is in z_w and z_i, and cancels in z_p",
    },
    stages=STAGES,
)
