"""MatrixCompletion."""

from __future__ import annotations

from tests.contracts.case import Case

CASE = Case(
    alternatives={"networks": [["physical"], ["regulatory", "physical"]]},
    stages={
        r"pairs\.own": "vectors",
        r"pairs\.sign": "pairs",
        r"effects\.effect": "effects",
        r"effects\.bias": "additive",
    },
    # Vectors that start small need larger steps than the weights of networks do.
    lr=0.03,
)
