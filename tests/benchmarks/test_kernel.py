"""The benchmark of the kernel model at a tiny size."""

from __future__ import annotations

from benchmarks.kernel import fit_case, screen_case, screen_of


def test_a_fit_ends_and_is_measured() -> None:
    measured = fit_case(300, 40, 60, 1)
    assert 3 < measured["iterations"] < 200
    assert measured["seconds"] > 0
    assert 0 < measured["loss"] < 0.7


def test_all_pairs_are_scored() -> None:
    measured = screen_case(300, 40, 60)
    assert measured["pairs"] == 60 * 59 // 2
    assert measured["millions_per_minute"] * measured["seconds"] > 59.9


def test_pairs_are_different_and_as_many_as_asked_for() -> None:
    batch, targets = screen_of(300, 40, 60)
    assert len(batch.deleted.unique(dim=0)) == len(targets) == 300
    assert batch.deleted.unique().numel() <= 40
    assert (batch.deleted[:, 0] != batch.deleted[:, 1]).all()
