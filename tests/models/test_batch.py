"""A batch of genotypes is indices and a mask, whatever it is made from."""

from __future__ import annotations

import numpy as np
import torch

from gisearch.data.genotypes import Genotypes
from gisearch.models.batch import GenotypeBatch

TABLE = np.array([[4, 7, -1], [2, -1, -1], [1, 5, 9]])


def test_from_table_masks_padding() -> None:
    batch = GenotypeBatch.from_table(TABLE)
    assert len(batch) == 3
    assert batch.deleted.dtype == torch.int64
    assert batch.present.sum(1).tolist() == [2, 1, 3]
    assert batch.deleted.tolist() == [[4, 7, 0], [2, 0, 0], [1, 5, 9]]


def test_from_table_leaves_the_table_alone() -> None:
    table = TABLE.copy()
    batch = GenotypeBatch.from_table(table)
    batch.deleted.zero_()
    assert (table == TABLE).all()


def test_from_genotypes_is_from_their_table() -> None:
    genotypes = Genotypes.build(TABLE, {}, num_genes=10)
    batch = GenotypeBatch.from_genotypes(genotypes)
    expected = GenotypeBatch.from_table(genotypes.padded())
    assert torch.equal(batch.deleted, expected.deleted)
    assert torch.equal(batch.present, expected.present)


def test_rows_are_batches() -> None:
    batch = GenotypeBatch.from_table(TABLE)
    assert batch[torch.tensor([2, 0])].deleted.tolist() == [[1, 5, 9], [4, 7, 0]]
    assert batch[1:].present.tolist() == [[True, False, False], [True, True, True]]
    assert batch.to("meta").deleted.device.type == "meta"
