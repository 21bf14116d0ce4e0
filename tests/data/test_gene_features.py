import numpy as np
import pytest

from gisearch.data.gene_features import GeneFeatures
from gisearch.errors import DataError


def test_columns_are_standardised_over_the_known_genes() -> None:
    values = [[1.0, 7.0], [3.0, 7.0], [999.0, 999.0]]
    table = GeneFeatures.standardised("codons", values, [True, True, False])
    assert table.values.tolist() == [[-1, 0], [1, 0], [0, 0]]
    assert table.values.dtype == np.float32
    assert table.known.tolist() == [True, True, False]
    assert (table.num_genes, table.width) == (3, 2)


def test_every_gene_is_known_by_default() -> None:
    assert GeneFeatures.standardised("x", [[1.0], [2.0]]).known.all()


def test_the_digest_tells_names_values_and_known_genes_apart() -> None:
    def digest(name: str = "x", value: float = 0.0, known: bool = True) -> str:
        return GeneFeatures(name, np.array([[value]], np.float32), np.array([known])).digest()

    assert digest() == digest()
    assert len({digest(), digest("y"), digest(value=1.0), digest(known=False)}) == 4


@pytest.mark.parametrize(
    ("values", "known", "message"),
    [
        ([1.0, 2.0], [True, True], r"expected values of shape \[N, F\] and known of shape \[N\], got \[2\]"),
        ([[1.0], [2.0]], [True], r"got \[2, 1\] and \[1\]"),
        ([[], []], [True, True], "at least one column"),
        ([[np.nan], [2.0]], [True, True], "finite numbers"),
        ([[1.0], [2.0]], [True, False], "unknown genes must be zeros"),
    ],
)
def test_bad_tables(values: list[object], known: list[bool], message: str) -> None:
    with pytest.raises(DataError, match=f"gene features 'x': .*{message}"):
        GeneFeatures("x", np.array(values), np.array(known))
