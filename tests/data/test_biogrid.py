from pathlib import Path

import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.biogrid import read_biogrid
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YAL003W", "YAL005C"), standard=("TFC3", "VPS8", "EFB1", "SSA1"))
# The columns of BioGRID TAB 3.0 up to the organism names.
HEADER = (
    "#BioGRID Interaction ID\tEntrez Gene Interactor A\tEntrez Gene Interactor B\tBioGRID ID Interactor A\t"
    "BioGRID ID Interactor B\tSystematic Name Interactor A\tSystematic Name Interactor B\t"
    "Official Symbol Interactor A\tOfficial Symbol Interactor B\tSynonyms Interactor A\t"
    "Synonyms Interactor B\tExperimental System\tExperimental System Type\tAuthor\tPublication Source\t"
    "Organism ID Interactor A\tOrganism ID Interactor B\tThroughput\tScore\tModification"
)


def row(
    systematic: tuple[str, str], symbols: tuple[str, str], kind: str, organisms: str = "559292 559292"
) -> str:
    system = "Two-hybrid" if kind == "physical" else "Synthetic Lethality"
    fields = [
        "1",
        "2",
        "3",
        "4",
        "5",
        *systematic,
        *symbols,
        '5"-x|Y',
        "-",
        system,
        kind,
        "A (1997)",
        "PUBMED:1",
    ]
    return "\t".join([*fields, *organisms.split(), "High Throughput", "-", "-"])


@pytest.fixture
def tab3(tmp_path: Path) -> Path:
    rows = [
        row(("YAL001C", "YAL002W"), ("TFC3", "VPS8"), "physical"),
        row(("YAL002W", "YAL001C"), ("VPS8", "TFC3"), "physical"),
        row(("YAL001C", "-"), ("TFC3", "EFB1"), "physical"),
        row(("YAL001C", "-"), ("TFC3", "SARS-CoV-2 S"), "physical", "559292 2697049"),
        row(("YAL002W", "YAL005C"), ("VPS8", "SSA1"), "genetic"),
        row(("YAL002W", "YAR999W"), ("VPS8", "NEW1"), "genetic"),
    ]
    path = tmp_path / "BIOGRID-ORGANISM-Saccharomyces_cerevisiae_S288c-4.4.244.tab3.txt"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_physical_interactions_of_the_organism(tab3: Path) -> None:
    named = read_biogrid(tab3, "physical", interaction="physical")
    resolved = named.resolve(NAMES)
    assert {(a, b) for a, b in zip(*resolved.network.edges.tolist(), strict=True)} == {
        (0, 1),
        (1, 0),
        (0, 2),
        (2, 0),
    }
    assert resolved.unresolved == {}
    assert named.notes == ("network physical: 1 rows left out for another organism than 559292",)


def test_genetic_interactions_come_with_a_warning(tab3: Path) -> None:
    named = read_biogrid(tab3, "genetic", interaction="genetic")
    resolved = named.resolve(NAMES)
    assert resolved.network.edges.tolist() == [[3, 1], [1, 3]]
    assert resolved.unresolved == {"YAR999W": 1}
    assert "may hold the very screens that are predicted" in named.notes[-1]


def test_another_organism_than_the_file_holds(tab3: Path) -> None:
    message = "no physical interaction of organism 9606; the file's organisms are 559292"
    with pytest.raises(DataError, match=message):
        read_biogrid(tab3, "physical", interaction="physical", organism=9606)


def test_another_format(tmp_path: Path) -> None:
    path = tmp_path / "interactions.txt"
    path.write_text("INTERACTOR_A\tINTERACTOR_B\nYAL001C\tYAL002W\n")
    with pytest.raises(DataError, match=r"no column 'Systematic Name Interactor A'; found .*'INTERACTOR_A'"):
        read_biogrid(path, "physical", interaction="physical")
