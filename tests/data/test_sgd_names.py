from pathlib import Path

import pytest

from gisearch.data.sources.sgd_names import read_gene_names
from gisearch.errors import DataError

# Columns of SGD_features.tab: SGDID, type, qualifier, systematic, standard, aliases, and ten others.
FEATURES = [
    ("S000002143", "ORF", "Dubious", "YAL069W", "", ""),
    ("S000031098", "CDS", "", "", "", ""),
    ("S000000062", "ORF", "Verified", "YAL064W", "", "TOS1|YAL065C-A"),
    ("S000000004", "ORF", "Verified", "YAL002W", "VPS8", "FUN15|VPL8|VPT8"),
    ("S000000001", "ORF", "Verified", "YAL001C", "TFC3", "FUN24|tsv115|VPL8"),
    ("S000000099", "ORF", "Deleted", "YAR999W", "", ""),
    ("S000006472", "tRNA_gene", "", "tA(UGC)A", "", ""),
]


@pytest.fixture
def features(tmp_path: Path) -> Path:
    rest = ["chromosome 1", "L000002", "1", "335", "649", "W", "", "1996-07-31", "1996-07-31", 'a 5" gene']
    path = tmp_path / "SGD_features.tab"
    path.write_text("".join("\t".join([*row, *rest]) + "\n" for row in FEATURES))
    return path


def test_features_are_the_open_reading_frames(features: Path) -> None:
    names = read_gene_names(features)
    assert names.systematic == ("YAL069W", "YAL064W", "YAL002W", "YAL001C")
    assert names.standard == ("", "", "VPS8", "TFC3")
    assert names.resolve(["tos1", "FUN24", "TFC3", "YAR999W"]).indices.tolist() == [1, 3, 3, -1]
    assert names.aliases["VPL8"] == ("YAL002W", "YAL001C")
    assert names.resolve(["VPL8"]).indices.tolist() == [-1]


def test_other_feature_types_can_be_asked_for(features: Path) -> None:
    assert read_gene_names(features, feature_types={"tRNA_gene"}).systematic == ("tA(UGC)A",)
    with pytest.raises(DataError, match="no feature of type gene"):
        read_gene_names(features, feature_types={"gene"})


@pytest.mark.parametrize(
    "text",
    [
        "systematic_name\tstandard_name\taliases\nYAL001C\tTFC3\tFUN24|tsv115\nYAL002W\t\t\nYAL003W\tYAL003W\t\n",
        "Systematic name,Standard name,Aliases,x\nYAL001C,TFC3,FUN24|tsv115,1\nYAL002W,,,2\nYAL003W,,,3\n",
    ],
)
def test_plain_tables(tmp_path: Path, text: str) -> None:
    path = tmp_path / "genes.txt"
    path.write_text(text)
    names = read_gene_names(path)
    assert names.systematic == ("YAL001C", "YAL002W", "YAL003W")
    assert names.standard == ("TFC3", "", "")
    assert names.index_of("FUN24") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name\tdescription\nA\tB\n",
            "no column 'systematic_name' or 'systematic name' or 'gene'; found .*'name'",
        ),
        ("systematic_name\n", "no gene; expected one row per gene"),
        ("systematic_name\tstandard_name\nA\tx\n\tx\n", "line 3: expected a systematic name, got nothing"),
        ("systematic_name\nA\nB\na\n", "lines 2 and 4: the gene 'a' occurs twice"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "genes.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_gene_names(path)
