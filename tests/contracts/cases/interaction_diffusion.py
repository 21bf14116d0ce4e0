"""InteractionDiffusion."""

from __future__ import annotations

from tests.contracts.case import Case

CASE = Case(
    contexts={"longest_walk": {"kernel": "both"}},
    alternatives={
        "longest_walk": [1, 4],
        "networks": [["physical"], ["regulatory", "physical"]],
    },
    stages={r"walks\..*": "walks", "gene": "genes", "weight": "calibration"},
    needs_gradient=False,
    reaches={"fitness": 0.5, "strong_negative": 0.8},
)
