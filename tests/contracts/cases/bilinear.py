"""BilinearEmbedding."""

from __future__ import annotations

from tests.contracts.case import Case

CASE = Case(
    contexts={"features": {"inputs": "features"}},
    alternatives={"features": [["modules"]]},
    stages={r"effects\..*": "effects", r"pairs\..*": "pairs"},
    # Vectors that start small need larger steps than the weights of networks do.
    lr=0.03,
)
