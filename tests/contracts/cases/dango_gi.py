"""GeneInteractionDango."""

from __future__ import annotations

from typing import Any

from tests.contracts.case import Case

# What the gene encoder and the pooling need, in every model that is built on them.
ENCODER_CONTEXTS = {
    "encoder.features": {"encoder.inputs": "features"},
    "encoder.num_heads": {"encoder.convolution": "gatv2"},
    "encoder.gin_mlp_layers": {"encoder.convolution": "gin"},
    "encoder.bottleneck": {"encoder.graph_aggregation": "pairwise_interaction"},
}
ENCODER_ALTERNATIVES: dict[str, list[Any]] = {
    "encoder.networks": [["physical"], ["regulatory", "physical"]],
    "encoder.features": [["modules"]],
}
ENCODER_SHIFTS = {
    r"pooling\.gate\.2\.bias": "a softmax over genes does not change with a shift of its logits",
    r".*\.aggregation\.score\.bias": "a softmax over options does not change with a shift",
}
ENCODER_STAGES = {
    r"encoder\.(embedding|features\..*|gain|preprocessor\..*)": "preprocessor",
    r"encoder\.layers\.0\..*": "encoder.layer_1",
    r"encoder\.layers\.1\..*": "encoder.layer_2",
    r"encoder\.norm\..*": "encoder.norm",
    r"pooling\..*": "pooling",
}
# Fixed halves: a gate may happen to shut the local pathway off.
_HYPERSAGNN = {
    "local_predictor.enabled": True,
    "local_predictor.scorer": "hypersagnn",
    "combination": "concat",
}
_EVIDENCE = {"evidence_predictor.enabled": True, "combination": "concat"}

CASE = Case(
    base={"hidden_dim": 16, "encoder.bottleneck": 4},
    contexts={
        **ENCODER_CONTEXTS,
        "local_predictor.num_heads": _HYPERSAGNN,
        "local_predictor.num_attention_layers": _HYPERSAGNN,
        "combination": {"local_predictor.enabled": True},
        "evidence_predictor.networks": _EVIDENCE,
        "evidence_predictor.hidden_dim": _EVIDENCE,
        "evidence_predictor.num_layers": _EVIDENCE,
        "evidence_predictor.dropout": _EVIDENCE,
    },
    alternatives={**ENCODER_ALTERNATIVES, "evidence_predictor.networks": [["physical"]]},
    gradientless=ENCODER_SHIFTS,
    stages={
        **ENCODER_STAGES,
        r"global_predictor\..*": "global_predictor",
        r"local_predictor\..*": "local_predictor",
        r"evidence_predictor\..*": "evidence_predictor",
        r"gate\..*": "combination",
    },
)
