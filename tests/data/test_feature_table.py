import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.feature_table import (
    format_of,
    read_feature_npz,
    read_feature_parquet,
    read_feature_table,
)
from gisearch.data.sources.named_features import NamedFeatures
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YAL003W"), standard=("TFC3", "VPS8", "EFB1"))
GENES, VALUES = ["YAL003W", "tfc3", "NEW1"], np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def resolved(named: NamedFeatures, *, standardise: bool = False) -> GeneFeatures:
    return named.resolve(NAMES, standardise=standardise).features


@pytest.mark.parametrize(
    "text",
    [
        "gene\ta\tb\nYAL003W\t1\t2\ntfc3\t3\t4\nNEW1\t5\t6\n",
        "a,b,Gene\n1,2,YAL003W\n3,4,tfc3\n5,6,NEW1\n",
        ";a;b\nYAL003W;1;2\ntfc3;3;4\nNEW1;5;6\n",
        "# codons\n# made by hand\nsystematic_name\ta\tb\nYAL003W\t1\t2\n\ntfc3\t3\t4\nNEW1\t5\t6\n",
        "gene\ta\tdescription\tb\tnothing\nYAL003W\t1\ta kinase\t2\t\ntfc3\t3\t\t4\t\nNEW1\t5\tx\t6\t\n",
    ],
)
def test_text_tables_are_read_whatever_the_layout(tmp_path: Path, text: str) -> None:
    found = read_feature_table(write(tmp_path / "t.txt", text), "codons").resolve(NAMES, standardise=False)
    assert found.features.values.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert found.features.known.tolist() == [True, False, True]
    assert dict(found.unresolved) == {"NEW1": 1}
    assert found.summary == "features codons: 3 rows of t.txt; 1 with unknown genes left out"


def test_columns_that_hold_no_number_are_left_out_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "gene,a,what,nothing\nTFC3,1,x,\nVPS8,2,y,\n")
    assert read_feature_table(path, "t").notes == ("t.csv: columns without numbers not used: what, nothing",)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(b"gene\tallele\tx\ty\nTFC3\tVPS8\t1\tz\nTFC3\tEFB1\t2\tz\n"))
    named = read_feature_table(path, "t", gene_column="allele", columns=["x"])
    assert resolved(named).values.tolist() == [[0], [1], [2]]


def test_standardised_over_the_known_genes_and_empty_cells_are_means(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "gene,a,b\nTFC3,1,5\nVPS8,3,\nNEW1,100,100\n")
    found = read_feature_table(path, "t").resolve(NAMES, standardise=True)
    assert found.features.values.tolist() == [[-1, 0], [1, 0], [0, 0]]
    assert found.summary.endswith("1 with unknown genes left out; 1 empty cells, each the mean of its column")


def test_npz_and_parquet_hold_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", genes=np.array(GENES), values=VALUES)
    np.savez(
        tmp_path / "b.npz", who=np.array(GENES, dtype=bytes), x=VALUES[:, 0].astype(int), y=VALUES[:, 1:]
    )
    frame = pd.DataFrame(VALUES, columns=["a", "b"])
    frame.assign(gene=GENES, what="x").to_parquet(tmp_path / "a.parquet")
    frame.set_axis(pd.Index(GENES, name="orf")).to_parquet(tmp_path / "b.parquet")
    for named in (
        read_feature_npz(tmp_path / "a.npz", "t"),
        read_feature_npz(tmp_path / "b.npz", "t", gene_column="who", columns=["x", "y"]),
        read_feature_parquet(tmp_path / "a.parquet", "t"),
        read_feature_parquet(tmp_path / "b.parquet", "t", columns=["a", "b"]),
    ):
        assert resolved(named).values.tolist() == [[3, 4], [0, 0], [1, 2]]


def test_a_missing_number_of_npz_or_parquet_is_its_columns_mean(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", genes=np.array(["TFC3", "VPS8"]), values=np.array([[4.0], [np.nan]]))
    pd.DataFrame({"gene": ["TFC3", "VPS8"], "a": [4, None]}).to_parquet(tmp_path / "a.parquet")
    assert resolved(read_feature_npz(tmp_path / "a.npz", "t")).values[:2].tolist() == [[4], [4]]
    assert resolved(read_feature_parquet(tmp_path / "a.parquet", "t")).values[:2].tolist() == [[4], [4]]


def test_the_name_tells_the_format() -> None:
    assert [format_of(name) for name in ("a.NPZ", "b.parquet", "c.pq", "d.tsv.gz", "e")] == [
        "npz",
        "parquet",
        "parquet",
        "table",
        "table",
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("gene,a\nTFC3,1\nVPS8,much\n", {}, "t.csv, line 3, column 'a': expected a number, got 'much'."),
        ("gene,a\nTFC3,1\nVPS8,inf\n", {}, "t.csv, line 3, column 'a': the value is infinite"),
        ("gene,a\nTFC3,x\n", {"columns": ["a"]}, "t.csv, line 2, column 'a': expected a number, got 'x'."),
        ("gene,a\nTFC3,1\n,2\n", {}, "t.csv, line 3, column 'gene': expected a gene name, got nothing."),
        (
            "gene,what\nTFC3,x\n",
            {},
            "t.csv: no column of numbers beside 'gene'; found the columns 'gene', 'what'.",
        ),
        ("gene,a\nTFC3,\n", {}, "t.csv: no column of numbers beside 'gene'"),
        ("gene,a,a\nTFC3,1,2\n", {}, "t.csv: two columns are called 'a'; rename one."),
        ("gene,ab\nTFC3,1\n", {"columns": ["abc"]}, "t.csv: no column 'abc'; .* Did you mean 'ab'?"),
        ("gene,a\nTFC3,1\n", {"gene_column": "orf"}, "t.csv: no column 'orf'"),
    ],
)
def test_what_is_wrong_with_a_text_table(
    tmp_path: Path, text: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message).replace(r"\.\*", ".*")):
        read_feature_table(write(tmp_path / "t.csv", text), "t", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gene,a\nX1,1\nX2,2\n",
            "no row of the gene features 't' is about a gene of this data; expected names such as 'YAL001C', "
            "found 'X1', 'X2'.",
        ),
        (
            "gene,a\nTFC3,1\nVPS8,2\nYAL001C,3\n",
            "lines 2 and 4: two rows for the gene YAL001C (TFC3 and YAL001C)",
        ),
        (
            "gene,a,b\nTFC3,1,\nX,2,3\n",
            "number column 2 of the gene features 't' is empty for every known gene",
        ),
    ],
)
def test_what_cannot_be_resolved(tmp_path: Path, text: str, message: str) -> None:
    named = read_feature_table(write(tmp_path / "t.csv", text), "t")
    with pytest.raises(DataError, match=re.escape(message)):
        named.resolve(NAMES, standardise=True)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"genes": np.array(["A"], dtype=object), "values": np.ones((1, 1))},
            "an array holds Python objects",
        ),
        ({"values": np.ones((1, 1))}, "no array 'gene' or 'genes' or 'systematic_name'; found 'values'."),
        ({"genes": np.array(["A"])}, "no array 'values' or 'features' or 'embeddings'; found 'genes'."),
        (
            {"genes": np.array([1.0]), "values": np.ones((1, 1))},
            "gene names must be text of shape [n], got float64",
        ),
        (
            {"genes": np.array(["A"]), "values": np.ones((2, 1))},
            "'values' must be numbers of shape [1] or [1, F]",
        ),
        ({"genes": np.array(["A"]), "values": np.array([["x"]])}, "'values' must be numbers"),
        (
            {"genes": np.array(["A", "B"]), "values": np.array([[0.0], [np.inf]])},
            "row 2: the value is infinite; expected a finite number",
        ),
        ({"genes": np.array(["A", " "]), "values": np.ones(2)}, "row 2: expected a gene name, got nothing."),
    ],
)
def test_what_is_wrong_with_an_npz_file(
    tmp_path: Path, arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]], message: str
) -> None:
    np.savez(tmp_path / "t.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=re.escape(message)):
        read_feature_npz(tmp_path / "t.npz", "t")


def test_two_rows_for_a_gene_in_an_npz_file_are_counted_from_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", genes=np.array(["VPS8", "TFC3", "VPS8"]), values=np.ones(3))
    with pytest.raises(DataError, match=r"t\.npz, rows 1 and 3: two rows for the gene YAL002W \(VPS8\)"):
        read_feature_npz(tmp_path / "t.npz", "t").resolve(NAMES, standardise=True)


def test_unreadable_files(tmp_path: Path) -> None:
    broken = write(tmp_path / "t.npz", "no archive")
    with pytest.raises(DataError, match=r"t\.npz: not a readable NPZ file"):
        read_feature_npz(broken, "t")
    with pytest.raises(DataError, match=r"t\.npz: not a readable Parquet file"):
        read_feature_parquet(broken, "t")
    with pytest.raises(
        DataError, match=r"x\.npz: no such file; expected an NPZ file .*Did you mean 't\.npz'"
    ):
        read_feature_npz(tmp_path / "x.npz", "t")


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (
            {"gene": ["A"], "what": ["x"]},
            {},
            "no column of numbers beside 'gene'; found the columns 'gene', 'what'.",
        ),
        ({"gene": ["A"], "what": ["x"]}, {"columns": ["what"]}, "column 'what': expected numbers, got"),
        ({"gene": ["A"], "a": [1]}, {"columns": ["b"]}, "no column 'b'; found 'gene', 'a'."),
        ({"gene": ["A", None], "a": [1, 2]}, {}, "row 2: expected a gene name, got nothing."),
    ],
)
def test_what_is_wrong_with_a_parquet_file(
    tmp_path: Path, frame: dict[str, list[object]], options: dict[str, list[str]], message: str
) -> None:
    pd.DataFrame(frame).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=re.escape(message)):
        read_feature_parquet(tmp_path / "t.parquet", "t", **options)
