"""Sums in pieces are the sums at one go, whatever lengths there are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gisearch.models.layers.incidence import Incidence, Pieces, Sums

LENGTHS = [0, 1, 7, 0, 23, 3, 4, 0]


def sums(lengths: list[int], columns: int) -> Sums:
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    return Sums(torch.randint(columns, (int(offsets[-1]),)), offsets)


@pytest.mark.parametrize("longest", [1, 3, 4, 22])
def test_sums_in_pieces_are_the_sums(longest: int) -> None:
    torch.manual_seed(0)
    whole, table = sums(LENGTHS, 11), torch.randn(11, 5, dtype=torch.float64)
    pieces = Pieces.of(whole.offsets, longest)
    assert pieces is not None
    assert pieces.offsets.diff().max() <= longest
    assert pieces.offsets.diff().min() >= 1
    assert pieces.rows.diff().tolist() == [-(-length // longest) for length in LENGTHS]
    found = Sums(whole.index, whole.offsets, pieces).of(table)
    torch.testing.assert_close(found, whole.of(table))
    assert (found[0] == 0).all()


@pytest.mark.parametrize("lengths", [[], [0], [3, 0, 2]])
def test_short_sums_stay_whole(lengths: list[int]) -> None:
    assert Pieces.of(sums(lengths, 4).offsets, 3) is None


def test_products_in_pieces_have_the_gradients_of_the_whole() -> None:
    torch.manual_seed(0)
    dense = (torch.rand(12, 6) < 0.6).double()

    def by_row(matrix: Tensor) -> Sums:
        index = matrix.nonzero()[:, 1]
        offsets = torch.cat([torch.zeros(1), matrix.sum(1)]).cumsum(0).long()
        pieces = Pieces.of(offsets, 2)
        assert pieces is not None
        return Sums(index, offsets, pieces)

    incidence = Incidence(by_row(dense), by_row(dense.T))
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    own = torch.randn(2, 1, 1, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(incidence.sum(x), dense @ x)
    torch.testing.assert_close(incidence.sum_with_own(x, own), (dense @ x).view(2, 6, 3) + own * x)
    assert torch.autograd.gradcheck(incidence.sum, (x,))
    assert torch.autograd.gradcheck(incidence.sum_with_own, (x, own))
