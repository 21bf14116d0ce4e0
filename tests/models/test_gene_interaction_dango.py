"""What is particular to GeneInteractionDango: its two pathways, and how they become one score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.errors import ConfigError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.gene_interaction_dango import GeneInteractionDangoConfig
from gisearch.models.gene_interaction_dango import GeneInteractionDango
from tests.contracts.conftest import with_signed_pairs

TARGET = Target("gene_interaction", "regression")
BATCH = GenotypeBatch.from_table(np.array([[3, -1, -1], [3, 8, -1], [3, 8, 21], [0, 5, -1]]))


def make(cell: CellGraph, changes: Mapping[str, Any] | None = None) -> GeneInteractionDango:
    torch.manual_seed(0)
    config = build(GeneInteractionDangoConfig, assign({"hidden_dim": 16}, changes or {}))
    return config.build(cell, TARGET).eval()


def test_gating_is_a_weighted_sum_of_both_pathways(tiny_cell: CellGraph) -> None:
    prediction = make(tiny_cell, {"combination": "gating"})(BATCH)
    scores = torch.stack(
        [prediction.details["local_interaction"], prediction.details["global_interaction"]], dim=-1
    )
    weights = prediction.details["gate_weights"]
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(BATCH)))
    assert weights.std(0).min() > 0, "the gate looks at the scores"
    torch.testing.assert_close(prediction.score, (weights * scores).sum(-1))


def test_concat_is_half_of_each_pathway_and_has_no_gate(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, {"combination": "concat"})
    assert "gate" not in model.num_parameters()
    prediction = model(BATCH)
    expected = (prediction.details["local_interaction"] + prediction.details["global_interaction"]) / 2
    torch.testing.assert_close(prediction.score, expected)
    assert (prediction.details["gate_weights"] == 0.5).all()


@pytest.mark.parametrize("combination", ["gating", "concat"])
def test_without_the_local_predictor_neither_it_nor_a_gate_exists(
    combination: str, tiny_cell: CellGraph
) -> None:
    model = make(tiny_cell, {"local_predictor.enabled": False, "combination": combination})
    assert model.local_predictor is None
    assert model.gate is None
    assert not any(name.startswith(("local", "gate")) for name in model.state_dict())
    prediction = model(BATCH)
    assert "local_interaction" not in prediction.details
    assert (prediction.details["gate_weights"] == 1).all()
    assert torch.equal(prediction.score, prediction.details["global_interaction"])
    smaller, larger = model.num_parameters(), make(tiny_cell).num_parameters()
    assert set(smaller) == {"encoder", "pooling", "global_predictor", "total"}
    assert smaller["total"] == larger["total"] - larger["local_predictor"] - larger["gate"]


def test_the_local_pathway_reads_deleted_genes_and_the_global_one_the_pooled_cell(
    tiny_cell: CellGraph,
) -> None:
    model = make(tiny_cell)
    cells = model.embed(BATCH)
    wild_type = model.encoder(model.monitor).embeddings
    for i, genes in enumerate(BATCH.deleted):
        present = BATCH.present[i]
        torch.testing.assert_close(cells.deleted[i, present], wild_type[genes[present]])
    assert cells.wild_type.shape == (1, 16)
    assert cells.difference.shape == (len(BATCH), 16)


@pytest.mark.parametrize(("aggregation", "options"), [("cross_attention", 3), ("pairwise_interaction", 7)])
def test_network_attention_is_returned_for_plots(
    aggregation: str, options: int, tiny_cell: CellGraph
) -> None:
    attention = make(tiny_cell, {"encoder.graph_aggregation": aggregation})(BATCH).details[
        "network_attention"
    ]
    assert attention.shape == (tiny_cell.num_genes, options)
    torch.testing.assert_close(attention.sum(1), torch.ones(tiny_cell.num_genes))
    assert "network_attention" not in make(tiny_cell)(BATCH).details


def test_first_scores_have_the_scale_of_a_standardised_target(tiny_cell: CellGraph) -> None:
    """Scores tens of standard deviations wide would spend the first epochs on shrinking."""
    prediction = make(tiny_cell, {"hidden_dim": 64})(BATCH)
    for name in ("local_interaction", "global_interaction"):
        assert prediction.details[name].abs().max() < 10, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hidden_dim": 30, "encoder.num_heads": 4},
            r"encoder\.num_heads: 4 heads do not divide hidden_dim 30; "
            r"expected one of \[1, 2, 3, 5, 6, 10, 15, 30\]",
        ),
        (
            {"hidden_dim": 18, "encoder.num_heads": 3, "local_predictor.num_heads": 4},
            r"local_predictor\.num_heads: 4 heads do not divide hidden_dim 18; expected one of",
        ),
    ],
)
def test_heads_must_divide_the_width(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(GeneInteractionDangoConfig, assign({}, changes), "model")


def test_heads_of_a_disabled_local_predictor_are_not_asked_about() -> None:
    changes = {"hidden_dim": 18, "encoder.num_heads": 3, "local_predictor.num_heads": 4}
    build(GeneInteractionDangoConfig, assign({}, {**changes, "local_predictor.enabled": False}))


def test_a_network_that_the_data_lacks_is_an_error(tiny_cell: CellGraph) -> None:
    with pytest.raises(DataError, match=r"no network 'regulation'.*Did you mean 'regulatory'\?"):
        make(tiny_cell, {"encoder.networks": ["regulation"]})


def test_the_same_seed_gives_the_same_weights(tiny_cell: CellGraph) -> None:
    one, other = make(tiny_cell).state_dict(), make(tiny_cell).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


EVIDENCE = {"evidence_predictor.enabled": True}


@pytest.mark.parametrize("local", [True, False])
def test_evidence_is_one_more_pathway(local: bool, tiny_cell: CellGraph) -> None:
    changes = {**EVIDENCE, "local_predictor.enabled": local}
    model = make(with_signed_pairs(tiny_cell), changes)
    prediction = model(BATCH)
    names = [*(["local_interaction"] if local else []), "global_interaction", "evidence"]
    scores = torch.stack([prediction.details[name] for name in names], dim=-1)
    weights = prediction.details["gate_weights"]
    assert weights.shape == (len(BATCH), len(names))
    torch.testing.assert_close(prediction.score, (weights * scores).sum(-1))
    mean = make(with_signed_pairs(tiny_cell), {**changes, "combination": "concat"})
    assert mean.gate is None
    torch.testing.assert_close(mean(BATCH).details["gate_weights"], torch.full_like(weights, 1 / len(names)))


@pytest.mark.parametrize("encoding", ["index", "masked", "exact"])
def test_how_deletions_are_encoded_does_not_count_for_evidence(encoding: str, tiny_cell: CellGraph) -> None:
    cell = with_signed_pairs(tiny_cell)
    found = make(cell, {**EVIDENCE, "perturbation": encoding})(BATCH).details["evidence"]
    assert torch.equal(found, make(cell, EVIDENCE)(BATCH).details["evidence"])


def test_what_labels_tell_is_no_parameter(tiny_cell: CellGraph) -> None:
    """A checkpoint holds none of it: the cell graph is derived again."""
    state = make(with_signed_pairs(tiny_cell), EVIDENCE).state_dict()
    evidence = {name for name in state if name.startswith("evidence_predictor")}
    assert evidence == {f"evidence_predictor.2.{i}.{part}" for i in (0, 3) for part in ("weight", "bias")}
    assert not any(name.startswith("evidence") for name in make(tiny_cell).state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {},
            "model.evidence_predictor.enabled: the data has no signed network of training labels; expected "
            r"derived.positive=true and derived.negative=true\.",
        ),
        (
            {"evidence_predictor.networks": ["fysical"]},
            "model.evidence_predictor.networks: the data has no network 'fysical' .* Did you mean 'physical'",
        ),
    ],
)
def test_evidence_without_its_networks_is_an_error(
    changes: Mapping[str, Any], message: str, tiny_cell: CellGraph
) -> None:
    config = build(GeneInteractionDangoConfig, assign({}, {**EVIDENCE, **changes}))
    cell = with_signed_pairs(tiny_cell) if changes else tiny_cell
    with pytest.raises(DataError, match=message):
        config.check(cell, TARGET)
