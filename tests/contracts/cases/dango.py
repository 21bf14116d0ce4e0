"""Dango."""

from __future__ import annotations

from tests.contracts.case import Case

CASE = Case(
    # Both losses from the first epoch on, so that the contracts see the gradients of both.
    base={"hidden_dim": 16, "schedule.name": "linear_until_flipped"},
    contexts={"features": {"inputs": "features"}},
    alternatives={
        "features": [["modules"]],
        "networks": [["physical"], ["regulatory", "physical"]],
        "reconstruction.lambdas": [{"physical": 0.5}],
    },
    gradientless={
        r"pretrain\.reconstruction\..*": "the reconstruction is a loss of its own; no score depends on it",
        r"meta_embedding\.score\.2\.bias": "a softmax over networks does not change with a shift",
    },
    stages={
        r"pretrain\.(embedding|features\..*)": "pretrain.layer_1",
        r"pretrain\.layers\.0\..*": "pretrain.layer_1",
        r"pretrain\.layers\.1\..*": "pretrain.layer_2",
        r"pretrain\.reconstruction\..*": "reconstruction",
        r"meta_embedding\..*": "meta_embedding",
        r"hypersagnn\..*": "hypersagnn",
    },
)
