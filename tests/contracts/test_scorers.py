"""What scores very many genotypes says what the model says, for every model in every variant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gisearch.models.base import Model
from gisearch.models.batch import GenotypeBatch
from tests.contracts.conftest import Variant

MakeModel = Callable[[Any], Model]


def by_order(batch: GenotypeBatch) -> list[torch.Tensor]:
    """The batch's deleted genes, [B, K], for one, two and three deletions."""
    orders = batch.present.sum(1)
    return [batch.deleted[orders == k][:, :k] for k in (1, 2, 3)]


@pytest.mark.parametrize(
    ("precision", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-6)], ids=["double", "single"]
)
def test_a_scorer_says_what_the_model_says(
    variant: Any, precision: torch.dtype, tolerance: float, make_model: MakeModel, batch: GenotypeBatch
) -> None:
    """In double precision nothing but rounding could hide behind the tolerance."""
    model = make_model(variant).to(precision)
    with torch.inference_mode():
        scorer = model.scorer()
        for deleted in by_order(batch):
            expected = model(GenotypeBatch.complete(deleted)).score
            found = scorer.score(deleted)
            assert torch.isfinite(found).all()
            assert found.unique().numel() == len(found)
            if scorer.is_estimate:
                assert found.shape == expected.shape
            else:
                torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_a_scorer_encodes_the_wild_type_once(
    model_name: str, make_model: MakeModel, batch: GenotypeBatch
) -> None:
    """What encodes it is not asked again, nor are its weights."""
    model, deleted = make_model(Variant(model_name)), by_order(batch)[1]
    encoders = [part for name, part in model.named_children() if name in ("encoder", "pretrain")]
    with torch.inference_mode():
        scorer = model.scorer()
        before = scorer.score(deleted)
        for encoder in encoders:
            for parameter in encoder.parameters():
                parameter.zero_()
        assert torch.equal(scorer.score(deleted), before)
        assert torch.equal(model.scorer().score(deleted), before) == (not encoders)
