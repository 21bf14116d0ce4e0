from pathlib import Path

import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.regulation import read_regulation
from gisearch.errors import DataError

NAMES = GeneNames(("YKL112W", "YGL071W", "YAL003W", "YAL005C"), standard=("ABF1", "AFT1", "EFB1", "SSA1"))


def edges(tmp_path: Path, text: str) -> set[tuple[int, int]]:
    path = tmp_path / "regulation.tsv"
    path.write_text(text)
    network = read_regulation(path, "regulatory").resolve(NAMES).network
    assert network.directed
    return {(a, b) for a, b in zip(*network.edges.tolist(), strict=True)}


@pytest.mark.parametrize(
    "text",
    [
        # SGD: standard and systematic names; a systematic name that is missing is taken from the other.
        "Regulator standard_name\tRegulator systematic_name\tTarget standard_name\t"
        "Target systematic_name\tAssay\n"
        "ABF1\tYKL112W\tEFB1\tYAL003W\tChIP\nAFT1\t\tSSA1\tYAL005C\tChIP\n",
        "Regulator\tRegulator Systematic Name\tTarget\tTarget Systematic Name\tDirection\n"
        "Abf1p\tYKL112W\tEFB1\tYAL003W\t-\nAft1p\tYGL071W\tSSA1\t\t-\n",
        "! a comment\nregulator\ttarget\nABF1\tYAL003W\nYGL071W\tSSA1\n",
        # YEASTRACT, two columns, with and without a header; regulators may be named as proteins.
        "TF;Gene\nAbf1p;EFB1\nAft1p;SSA1\n",
        "Abf1;EFB1\nAft1p;SSA1\n",
        # YEASTRACT's other export has the targets first: the header tells, or the proteins do.
        "ORF\tTF\nEFB1\tAbf1p\nSSA1\tAft1p\n",
        "Target;Regulator\nEFB1;ABF1\nSSA1;AFT1\n",
        "EFB1,Abf1p\nYAL005C,Aft1p\n",
        "EFB1\tYkl112wp\nYAL005C\tYgl071wp\n",
        # YEASTRACT, matrix, with and without a cell above the regulators.
        ";EFB1;YAL005C\nAbf1p;1;0\nAft1p;0;1\n",
        'EFB1;"YAL005C";ABF1\nAbf1;1;0;0\nAft1;0;1;0\n',
        "regulators\tEFB1\tYAL005C\nAbf1p\t1\t0\nAft1p\t0\t1\n",
    ],
)
def test_every_layout_gives_the_same_network(tmp_path: Path, text: str) -> None:
    assert edges(tmp_path, text) == {(0, 2), (1, 3)}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("EFB1,Abf1p\nSSA1,Aft1p\n", "the second column of regulation.tsv names proteins: it regulates"),
        (
            "ABF1,EFB1\nAFT1,EFB1\n",
            "neither a header nor the names of regulation.tsv tell which column regulates; the first was "
            "taken (2 regulators, 1 targets); it has more different names than the second",
        ),
        (
            "regulator,target\n" + "".join(f"EFB1,Abc{i}p\n" for i in range(9)),
            "the header of regulation.tsv calls 'target' the target, but 9 of its names are proteins, as "
            "regulators are written, and 0 of 'regulator'",
        ),
        ("Abf1p,EFB1\n", None),
        ("regulator,target\nABF1,EFB1\n", None),
    ],
)
def test_a_doubt_on_the_direction_is_said(tmp_path: Path, text: str, note: str | None) -> None:
    path = tmp_path / "regulation.tsv"
    path.write_text(text)
    notes = read_regulation(path, "r").notes
    assert len(notes) == (note is not None)
    if note:
        assert notes[0].startswith(f"network r: {note}")


def test_unknown_regulators_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text(";EFB1;SSA1;NEW9\nHap99p;1;1;0\nAft1p;0;1;1\n")
    resolved = read_regulation(path, "regulatory").resolve(NAMES)
    assert resolved.unresolved == {"HAP99": 2, "NEW9": 1}
    assert resolved.network.edges.tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (";EFB1;SSA1;AFT1\nAbf1p;1;0;0\nAft1p;0;2;0\n", "line 3: expected a regulator and 3 cells of 0 or 1"),
        (";EFB1;SSA1;AFT1\nAbf1p;1;0\n", "line 2: expected a regulator and 4 cells of 0 or 1"),
        ("regulator\tgenes\tnote\nABF1\tEFB1\tx\n", "no column 'target' or 'target_standard_name'"),
        ("regulator\ttarget\nABF1\t\n", "line 2, column 'target': expected a gene name, got nothing"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        edges(tmp_path, text)
