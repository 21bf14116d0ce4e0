"""BoostedTrees."""

from __future__ import annotations

from tests.contracts.case import Case

CASE = Case(
    # The tiny cell has too few genotypes for leaves of twenty.
    base={"min_samples_leaf": 1},
    # In one network alone some of the contracts' genotypes look the same.
    alternatives={
        "networks": [["regulatory", "physical"], ["coexpression", "physical"]],
        "features": [[], ["modules"]],
    },
    stages={r"trees\..*": "trees"},
    needs_gradient=False,
    # Four leaves of twenty genotypes each are what 84 genotypes allow: 400 trees reach 0.902.
    reaches={"fitness": 0.89},
)
