"""InteractionDiffusion."""

from __future__ import annotations

from tests.contracts.case import Case

CASE = Case(
    contexts={"longest_walk": {"walks": "both"}},
    alternatives={
        "longest_walk": [1, 4],
        "networks": [["physical"], ["regulatory", "physical"]],
    },
    stages={r"walks\..*": "walks", "gene": "genes", "weight": "calibration"},
    needs_gradient=False,
    # What a few numbers beside the walks allow, which say little of single deletions.
    reaches={"fitness": 0.8, "strong_negative": 0.98},
)
