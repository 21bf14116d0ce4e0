import pickle

import numpy as np
import pytest

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.errors import DataError

NAMES = GeneNames(tuple("ABCDE"))


def network(name: str = "physical", pairs: object = ((0, 1), (1, 2)), **options: object) -> Network:
    settings = {"directed": False, "num_genes": 5, **options}
    return Network.from_pairs(name, pairs, **settings)  # type: ignore[arg-type]


def test_an_undirected_network_holds_both_directions_sorted_by_target() -> None:
    assert network(pairs=[[3, 0], [1, 2]]).edges.tolist() == [[2, 3, 0, 1], [0, 1, 2, 3]]


def test_a_directed_network_holds_what_is_given() -> None:
    built = network(pairs=[[3, 0], [1, 2]], directed=True)
    assert built.edges.tolist() == [[3, 0], [1, 2]]
    assert built.directed


def test_two_edges_are_not_mistaken_for_two_rows_of_pairs() -> None:
    # [2, 2] is the shape where pairs and rows could be confused.
    built = network(pairs=[[0, 2], [1, 3]], directed=True)
    assert set(zip(*built.edges.tolist(), strict=True)) == {(0, 1), (2, 3)}


def test_self_loops_and_duplicates_go_and_the_best_score_stays() -> None:
    built = network(pairs=[[0, 1, 0, 2], [1, 0, 1, 2]], scores=[0.2, 0.9, 0.5, 1.0])
    assert built.edges.tolist() == [[1, 0], [0, 1]]
    assert built.scores is not None
    assert built.scores.tolist() == pytest.approx([0.9, 0.9])


def test_an_empty_network_is_allowed() -> None:
    assert network(pairs=np.empty((2, 0))).num_edges == 0


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([[0, 1], [2, 5]], {}, "gene indices must be in 0..4, got 0..5"),
        ([[0, -1], [2, 3]], {}, "gene indices must be in 0..4, got -1..3"),
        ([[0, 1], [2, 3]], {"scores": [0.1, np.nan]}, "scores must be finite"),
        ([[0, 1], [2, 3]], {"scores": [0.1]}, r"expected 2 scores, got \[1\]"),
        ([[0, 1], [2, 3], [1, 2]], {}, r"expected pairs of shape \[2, E\], got \[3, 2\]"),
    ],
)
def test_bad_pairs(pairs: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=f"network 'physical': {message}"):
        network(pairs=pairs, **options)


def test_select_keeps_the_order_asked_for() -> None:
    cell = CellGraph(NAMES, {"a": network("a"), "b": network("b")})
    assert [n.name for n in cell.select(["b", "a"])] == ["b", "a"]
    assert [n.name for n in cell.select(None)] == ["a", "b"]


def test_an_unknown_network_gives_the_nearest_name() -> None:
    cell = CellGraph(NAMES, {"physical": network(), "regulatory": network("regulatory")})
    with pytest.raises(DataError, match=r"no network 'phisical' .*Did you mean 'physical'"):
        cell.select(["phisical"])


def test_isolated_genes_are_in_no_network() -> None:
    cell = CellGraph(NAMES, {"a": network("a", [[0], [1]]), "b": network("b", [[1], [3]])})
    assert cell.isolated_genes().tolist() == [2, 4]


def test_a_network_of_another_cell_is_refused() -> None:
    with pytest.raises(DataError, match="refers to genes that the cell graph does not have"):
        CellGraph(GeneNames(("A",)), {"physical": network()})


def test_a_network_stored_under_another_name_is_refused() -> None:
    with pytest.raises(DataError, match="network 'a' is stored under the name 'b'"):
        CellGraph(NAMES, {"b": network("a")})


def test_the_digest_follows_the_content() -> None:
    cell = CellGraph(NAMES, {"physical": network()})
    same = pickle.loads(pickle.dumps(CellGraph(NAMES, {"physical": network()})))
    assert cell.digest() == same.digest()
    scored = CellGraph(NAMES, {"physical": network(scores=[0.5, 0.5])})
    renamed = CellGraph(GeneNames(tuple("ABCDF")), {"physical": network()})
    assert len({cell.digest(), scored.digest(), renamed.digest()}) == 3


def test_networks_cannot_be_replaced() -> None:
    cell = CellGraph(NAMES, {"physical": network()})
    with pytest.raises(TypeError):
        cell.networks["other"] = network("other")  # type: ignore[index]


def table(name: str = "expression", genes: int = 5) -> GeneFeatures:
    return GeneFeatures(name, np.ones((genes, 2), np.float32), np.ones(genes, bool))


def test_gene_features_are_content_and_survive_pickling() -> None:
    bare = CellGraph(NAMES, {"physical": network()})
    cell = bare.with_features(table())
    assert cell.digest() != bare.digest()
    again = pickle.loads(pickle.dumps(cell))
    assert again.digest() == cell.digest()
    assert again.features["expression"].values.tolist() == [[1, 1]] * 5
    assert cell.with_features(table("codons")).select_features(["codons"])[0].name == "codons"
    assert [t.name for t in cell.with_features(table("codons")).select_features(None)] == [
        "expression",
        "codons",
    ]


def test_without_gene_features_the_digest_is_the_one_of_before_there_were_any() -> None:
    assert CellGraph(NAMES, {"physical": network()}).digest() == "81e142e8bda5faf4"


def test_networks_are_added_or_replaced_in_their_place() -> None:
    cell = CellGraph(NAMES, {"a": network("a"), "b": network("b")})
    more = cell.with_networks(network("a", [[0], [4]]), network("c"))
    assert list(more.networks) == ["a", "b", "c"]
    assert more.networks["a"].num_edges == 2
    assert list(cell.networks) == ["a", "b"]


def test_gene_features_that_do_not_fit_the_cell() -> None:
    with pytest.raises(DataError, match="have 4 rows; expected one for each of 5 genes"):
        CellGraph(NAMES, features={"expression": table(genes=4)})
    with pytest.raises(DataError, match="'expression' are stored under the name 'x'"):
        CellGraph(NAMES, features={"x": table()})
    with pytest.raises(DataError, match=r"no gene features 'expresion' \(it has: expression\).*'expression'"):
        CellGraph(NAMES, features={"expression": table()}).select_features(["expresion"])
