import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gisearch.data.gene_names import GeneNames
from gisearch.errors import DataError

NAMES = GeneNames(
    systematic=("YAL001C", "YAL002W", "YAL003W"),
    standard=("TFC3", "VPS8", ""),
    aliases={"tsv115": ("YAL001C",), "SHARED": ("YAL001C", "YAL002W"), "VPS8": ("YAL003W",)},
)

gene = st.text(alphabet="ABCabc-123", min_size=1, max_size=6)
genes = st.lists(gene, unique_by=str.upper, min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "index"),
    [("YAL001C", 0), ("yal002w", 1), (" TFC3 ", 0), ("Tsv115", 0), ("vps8", 1), ("SHARED", -1), ("nope", -1)],
)
def test_systematic_standard_and_alias_resolve(name: str, index: int) -> None:
    assert NAMES.resolve([name]).indices.tolist() == [index]


def test_unknown_names_are_counted() -> None:
    resolution = NAMES.resolve(["nope", "YAL001C", "NOPE", "other"])
    assert resolution.indices.tolist() == [-1, 0, -1, -1]
    assert resolution.unresolved == {"NOPE": 2, "OTHER": 1}


def test_a_standard_name_beats_an_alias_of_another_gene() -> None:
    assert NAMES.index_of("VPS8") == 1


def test_a_systematic_name_beats_a_standard_name() -> None:
    names = GeneNames(("A", "B"), standard=("B", ""))
    assert names.resolve(["B"]).indices.tolist() == [1]


def test_a_standard_name_of_two_genes_is_ambiguous() -> None:
    names = GeneNames(("A", "B"), standard=("X", "x"))
    assert names.resolve(["X"]).indices.tolist() == [-1]


def test_unknown_single_name_gives_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown gene 'YAL001'\. Did you mean 'YAL001C'"):
        NAMES.index_of("YAL001")


def test_repeated_systematic_name() -> None:
    with pytest.raises(DataError, match="systematic name 'A' occurs more than once"):
        GeneNames(("A", "b", "a"))


def test_wrong_number_of_standard_names() -> None:
    with pytest.raises(DataError, match="expected 2 standard names, got 1"):
        GeneNames(("A", "B"), standard=("x",))


def test_label_prefers_the_standard_name() -> None:
    assert [NAMES.label(i) for i in range(3)] == ["TFC3", "VPS8", "YAL003W"]


def test_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(NAMES))
    assert copy.resolve(["tsv115"]).indices.tolist() == [0]


@given(genes)
def test_every_systematic_name_is_its_own_index(systematic: list[str]) -> None:
    names = GeneNames(tuple(systematic))
    spellings = [f" {name.swapcase()}\t" for name in systematic]
    assert names.resolve(spellings).indices.tolist() == list(range(len(systematic)))


@given(genes, st.lists(gene, max_size=12), st.lists(gene, max_size=30))
def test_every_occurrence_is_resolved_or_counted(
    systematic: list[str], standard: list[str], asked: list[str]
) -> None:
    padded = (standard + [""] * len(systematic))[: len(systematic)]
    names = GeneNames(tuple(systematic), tuple(padded))
    resolution = names.resolve(asked)
    assert len(resolution.indices) == len(asked)
    assert sum(resolution.unresolved.values()) == int((resolution.indices < 0).sum())
    claimed = [name.upper() for name in (*systematic, *padded)]
    for name, index in zip(asked, resolution.indices, strict=True):
        if index >= 0:
            assert name.upper() in (names.systematic[index].upper(), padded[index].upper())
        else:
            assert claimed.count(name.upper()) != 1


@given(genes, st.data())
def test_an_alias_resolves_exactly_where_one_gene_claims_it(
    systematic: list[str], data: st.DataObject
) -> None:
    owners = data.draw(st.lists(st.sampled_from(systematic), min_size=1, max_size=3))
    names = GeneNames(tuple(systematic), aliases={"an alias": tuple(owners)})
    expected = systematic.index(owners[0]) if len(set(owners)) == 1 else -1
    assert np.array_equal(names.resolve(["AN ALIAS"]).indices, [expected])
