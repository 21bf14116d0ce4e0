"""AdditiveEffects."""

from __future__ import annotations

from tests.contracts.case import Case

CASE = Case(
    contexts={"features": {"inputs": "features"}},
    alternatives={"features": [["modules"]]},
    stages={r"effects\..*": "effects"},
    rounds=False,
    # 40 effects do not fit 84 genotypes: the least-squares solution correlates at 0.892.
    reaches={"fitness": 0.88},
    lr=0.1,
)
