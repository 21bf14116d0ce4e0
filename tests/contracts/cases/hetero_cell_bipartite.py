"""HeteroCellBipartite."""

from __future__ import annotations

from tests.contracts.case import Case
from tests.contracts.cases.hetero_cell import CONTEXTS, NETWORKS, NOT_FOR_FITNESS, SHIFTS, STAGES

CASE = Case(
    base={"hidden_dim": 16},
    contexts=CONTEXTS,
    # Where fitness is asked for, as the contracts do, nothing moves from fitness to the interaction:
    # tests/models/test_hetero_cell_bipartite.py asks for the interaction.
    alternatives={**NETWORKS, "transition_epochs": []},
    gradientless={
        **NOT_FOR_FITNESS,
        **SHIFTS,
        r"pooling\..*\.transform\.bias": "a shift of all features is in z_w and z_i, and cancels in z_p",
    },
    stages=STAGES,
)
