from __future__ import annotations

import pytest
import torch

from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.pooling_tables import PoolingTables

NUM_GENES, WIDTH = 30, 8


@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_the_change_is_that_of_pooling(gain: float) -> None:
    """A steep gate gives nearly all of the weight to a gene or two, which are among those deleted."""
    torch.manual_seed(0)
    pooling, genes = AttentionalPooling(WIDTH).double(), torch.randn(NUM_GENES, WIDTH).double()
    with torch.no_grad():
        pooling.gate[-1].weight *= gain  # type: ignore[operator]
        weights = torch.softmax(pooling.gate(genes).squeeze(-1), dim=0)
        heavy = weights.topk(3).indices
        deleted = torch.cat(
            [heavy.unsqueeze(0), torch.stack([torch.randperm(NUM_GENES)[:3] for _ in range(50)])]
        )
        expected = pooling(genes, deleted, torch.ones_like(deleted, dtype=torch.bool))
        tables = PoolingTables(pooling, genes)
        torch.testing.assert_close(tables(deleted), expected.difference, rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(tables.wild_type, expected.wild_type)
        through = torch.randn(4, WIDTH).double()
        torch.testing.assert_close(
            PoolingTables(pooling, genes, through)(deleted),
            expected.difference @ through.T,
            rtol=1e-7,
            atol=1e-9,
        )


def test_single_precision_survives_a_gene_that_holds_nearly_all_the_weight() -> None:
    torch.manual_seed(1)
    pooling, genes = AttentionalPooling(WIDTH), torch.randn(NUM_GENES, WIDTH)
    with torch.no_grad():
        pooling.gate[-1].weight *= 40  # type: ignore[operator]
        weights = torch.softmax(pooling.gate(genes).squeeze(-1), dim=0)
        deleted = weights.topk(2).indices.unsqueeze(0)
        assert 0.99 < float(weights[deleted].sum()) < 1.0
        exact = pooling.double()(genes.double(), deleted, torch.ones_like(deleted, dtype=torch.bool))
        found = PoolingTables(pooling.float(), genes)(deleted)
        torch.testing.assert_close(found.double(), exact.difference, rtol=1e-4, atol=1e-5)


def test_a_cell_without_any_gene_left_is_finite() -> None:
    pooling, genes = AttentionalPooling(WIDTH), torch.randn(3, WIDTH)
    with torch.no_grad():
        assert torch.isfinite(PoolingTables(pooling, genes)(torch.tensor([[0, 1, 2]]))).all()
