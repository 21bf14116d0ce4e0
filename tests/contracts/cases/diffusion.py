"""GeneInteractionDiff."""

from __future__ import annotations

from tests.contracts.case import Case
from tests.contracts.cases.dango_gi import (
    ENCODER_ALTERNATIVES,
    ENCODER_CONTEXTS,
    ENCODER_SHIFTS,
    ENCODER_STAGES,
)

CASE = Case(
    base={"hidden_dim": 16, "encoder.bottleneck": 4, "sampler.steps": 4},
    contexts={
        **ENCODER_CONTEXTS,
        "sampler.eta": {"sampler.method": "ddim"},
    },
    alternatives={
        **ENCODER_ALTERNATIVES,
        # After four layers at width 16 the embeddings of 40 genes are so alike that a hidden unit of the gate
        # is on or off for all of them, and its bias a shift that the softmax ignores.
        "encoder.num_layers": [1, 3],
    },
    gradientless=ENCODER_SHIFTS,
    stages={
        **ENCODER_STAGES,
        r"tokens\.types": "context",
        r"denoiser\..*": "denoiser",
    },
    lr=1e-3,
)
