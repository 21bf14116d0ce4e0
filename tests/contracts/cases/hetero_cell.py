"""HeteroCell."""

from __future__ import annotations

from typing import Any

from tests.contracts.case import Case

# The contracts ask for fitness, which the interaction head does not score; its own tests do the converse.
NOT_FOR_FITNESS = {
    r"(perturbed|interaction_head)\..*": "scores of fitness do not read the interaction",
}
SHIFTS = {r"pooling\..*\.gate\.2\.bias": "a softmax over nodes does not change with a shift of its logits"}
STAGES = {
    r"encoder\.(genes|features\..*|reactions|metabolites|degrees\..*)": "embeddings",
    r"encoder\.layers\.0\..*": "encoder.layer_1",
    r"encoder\.layers\.1\..*": "encoder.layer_2",
    r"pooling\..*": "pooling",
    r"fitness_head\..*": "fitness_head",
    r"(perturbed|interaction_head)\..*": "interaction_head",
}
NETWORKS: dict[str, list[Any]] = {
    "encoder.networks": [["physical"], ["regulatory", "physical"]],
    "encoder.features": [["modules"]],
}
CONTEXTS = {"encoder.features": {"encoder.inputs": "features"}}

CASE = Case(
    base={"hidden_dim": 16},
    contexts=CONTEXTS,
    alternatives=NETWORKS,
    gradientless={**NOT_FOR_FITNESS, **SHIFTS},
    stages=STAGES,
)
