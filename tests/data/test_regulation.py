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
        # YEASTRACT, matrix, with and without a cell above the regulators.
        ";EFB1;YAL005C\nAbf1p;1;0\nAft1p;0;1\n",
        'EFB1;"YAL005C";ABF1\nAbf1;1;0;0\nAft1;0;1;0\n',
        "regulators\tEFB1\tYAL005C\nAbf1p\t1\t0\nAft1p\t0\t1\n",
    ],
)
def test_every_layout_gives_the_same_network(tmp_path: Path, text: str) -> None:
    assert edges(tmp_path, text) == {(0, 2), (1, 3)}


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
