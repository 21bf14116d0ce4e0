import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gisearch.data.gene_names import GeneNames, canonical_name
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


@pytest.mark.parametrize(
    "name",
    [
        "4932.YHR001W-A",
        "559292.YHR001W-A",
        "YHR001W_A",
        "yhr001w.a",
        "YHR001W\u2011A",
        "YHR001W\u2013A",
        "YHR001W\u00ad-A".replace("-", ""),
        "\u200bYHR001W-A\u00a0",
        "\uff39HR001W-A",
        " YHR001W-A\ufeff",
    ],
)
def test_a_name_is_known_however_a_file_came_to_write_it(name: str) -> None:
    names = GeneNames(("YAL001C", "YHR001W-A"))
    assert names.index_of(name) == 1
    assert names.resolve([name]).indices.tolist() == [1]
    assert canonical_name(name).upper() == "YHR001W-A"


@pytest.mark.parametrize("name", ["YHR001W_dma1", "12.5", "COX1.2", "9606.", "TLC1_A", "Δ1"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert canonical_name(name) == name


def test_a_table_of_names_may_spell_so_itself() -> None:
    names = GeneNames(("YHR001W_A", "YAL001C"), aliases={"4932.OLD1": ("YAL001C",)})
    assert names.resolve(["YHR001W-A", "YHR001W_A", "OLD1"]).indices.tolist() == [0, 0, 1]


def test_a_look_alike_that_is_not_known_is_shown_escaped() -> None:
    with pytest.raises(DataError, match=r"unknown gene 'TF\\u04213'"):
        GeneNames(("YAL001C",), ("TFC3",)).index_of("TF\u04213")


def test_why_two_names_are_one_gene() -> None:
    names = GeneNames(("YAL003W-A", "YAL004W"), ("", "EFB1"), {"YAL003W": ("YAL004W",)})
    assert names.same_gene("YAL003W", "EFB1") == (
        "the same gene is deleted twice: 'YAL003W' as an alias and 'EFB1' as the standard name are both "
        "YAL004W"
    )
    assert names.same_gene("EFB1", "efb1") == "the same gene is deleted twice ('EFB1')"
