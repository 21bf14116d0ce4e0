"""GeneInteractionDiff."""

from __future__ import annotations

from typing import Any

from tests.contracts.case import Case

_NETWORKS: dict[str, list[Any]] = {"encoder.networks": [["physical"], ["regulatory", "physical"]]}

CASE = Case(
    base={"hidden_dim": 16, "encoder.bottleneck": 4, "sampler.steps": 4},
    contexts={
        "encoder.num_heads": {"encoder.convolution": "gatv2"},
        "encoder.gin_mlp_layers": {"encoder.convolution": "gin"},
        "encoder.bottleneck": {"encoder.graph_aggregation": "pairwise_interaction"},
        "sampler.eta": {"sampler.method": "ddim"},
    },
    alternatives={
        **_NETWORKS,
        # After four layers at width 16 the embeddings of 40 genes are so alike that a hidden unit of the gate
        # is on or off for all of them, and its bias a shift that the softmax ignores.
        "encoder.num_layers": [1, 3],
    },
    gradientless={
        r"pooling\.gate\.2\.bias": "a softmax over genes does not change with a shift of its logits",
        r".*\.aggregation\.score\.bias": "a softmax over options does not change with a shift",
    },
    stages={
        r"encoder\.(embedding|gain|preprocessor\..*)": "preprocessor",
        r"encoder\.layers\.0\..*": "encoder.layer_1",
        r"encoder\.layers\.1\..*": "encoder.layer_2",
        r"encoder\.norm\..*": "encoder.norm",
        r"pooling\..*": "pooling",
        r"tokens\.types": "context",
        r"denoiser\..*": "denoiser",
    },
    lr=1e-3,
)
