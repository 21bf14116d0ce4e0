import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gisearch.data.genotypes import Genotypes
from gisearch.errors import DataError

gene_sets = st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)


def build(deletions: object, binary: frozenset[str] = frozenset(), **labels: object) -> Genotypes:
    return Genotypes.build(deletions, labels, binary=binary, num_genes=10)  # type: ignore[arg-type]


@given(st.lists(gene_sets, max_size=20, unique_by=frozenset))
def test_sets_come_back_sorted_and_padded(sets: list[list[int]]) -> None:
    built = build(sets, fitness=np.arange(len(sets)))
    assert [built.genes_of(i).tolist() for i in range(len(built))] == [sorted(s) for s in sets]
    assert built.order.tolist() == [len(s) for s in sets]
    assert [sorted(row[row >= 0].tolist()) for row in built.padded()] == [sorted(s) for s in sets]
    assert built.genes.dtype == built.offsets.dtype == np.int64
    again = build(built.padded(), fitness=built.labels["fitness"])
    assert again.digest() == built.digest()


@given(st.lists(gene_sets, min_size=1, max_size=12, unique_by=frozenset), st.data())
def test_subset_picks_rows(sets: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(sets) - 1), max_size=8))
    part = build(sets, fitness=np.arange(len(sets))).subset(rows)
    assert [part.genes_of(i).tolist() for i in range(len(part))] == [sorted(sets[r]) for r in rows]
    assert part.labels["fitness"].tolist() == rows


def test_equal_rows_merge_and_fill_missing_labels() -> None:
    nan = np.nan
    merged = build([[3], [1, 2], [2, 1]], fitness=[1.0, 0.5, nan], gene_interaction=[nan, nan, -0.1])
    assert len(merged) == 2
    assert merged.genes_of(1).tolist() == [1, 2]
    assert merged.labels["fitness"].tolist() == [1.0, 0.5]
    assert merged.labels["gene_interaction"][1] == pytest.approx(-0.1)
    assert np.isnan(merged.labels["gene_interaction"][0])


def test_merging_keeps_the_first_appearance_in_place() -> None:
    merged = build([[9], [4], [9], [1]], fitness=[1, 2, 1, 3])
    assert merged.genes.tolist() == [9, 4, 1]
    assert merged.labels["fitness"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("deletions", "message"),
    [
        ([[0], []], "genotype in row 2: expected at least one deleted gene, got none"),
        ([[0], [1, 2, 3, 4]], "genotype in row 2: expected 1 to 3 deleted genes, got 4"),
        ([[0], [1], [2, 2]], "genotype in row 3: the same gene is deleted twice"),
        ([[10]], r"genotype in row 1: gene indices must be in 0\.\.9"),
        ([[-1, 2]], r"genotype in row 1: gene indices must be in 0\.\.9"),
        (np.zeros((2, 4), dtype=np.int64), r"expected a table \[B, 3\], got \[2, 4\]"),
    ],
)
def test_bad_deletions(deletions: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(deletions)


@pytest.mark.parametrize(
    ("values", "binary", "message"),
    [
        ([0.1], False, r"label 'x': expected 2 values, got \[1\]"),
        ([0.1, np.inf], False, "label 'x', row 2: the value is infinite"),
        ([0.0, 0.5], True, "label 'x', row 2: expected 0 or 1, got 0.5"),
    ],
)
def test_bad_labels(values: list[float], binary: bool, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build([[0], [1]], frozenset({"x"} if binary else ()), x=values)


def test_conflicting_labels_name_the_rows() -> None:
    with pytest.raises(DataError, match=r"label 'fitness': rows 1, 3 are the same .*\(0.5 and 0.9\)"):
        build([[1, 2], [3], [2, 1]], fitness=[0.9, 0.1, 0.5])


def test_the_digest_follows_the_content() -> None:
    one = build([[1], [2]], fitness=[1, 2])
    assert one.digest() == build([[1], [2]], fitness=[1, 2]).digest()
    others = [
        build([[1], [3]], fitness=[1, 2]),
        build([[1], [2]], fitness=[1, 3]),
        build([[1, 2]], fitness=[1]),
    ]
    assert len({one.digest(), *(other.digest() for other in others)}) == 4
