import gzip
import re
import zipfile
from pathlib import Path

import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.edge_list import read_edge_list
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YAL003W"), standard=("TFC3", "VPS8", "EFB1"))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def edges_of(path: Path, **options: object) -> set[tuple[int, int]]:
    network = read_edge_list(path, "net", **options).resolve(NAMES).network  # type: ignore[arg-type]
    return {(a, b) for a, b in zip(*network.edges.tolist(), strict=True)}


@pytest.mark.parametrize(
    ("text", "directed"),
    [
        ("gene1\tgene2\nYAL001C\tVPS8\n", False),
        ("gene1,gene2,note\nYAL001C,VPS8,hello\n", False),
        ("Gene 1;Gene 2\nYAL001C;VPS8\n", False),
        ('"source","target"\n"YAL001C","VPS8"\n', False),
        ("protein1 protein2\nYAL001C VPS8\n", False),
        ("regulator\ttarget\nYAL001C\tVPS8\n", True),
        ("TF;Gene\nYAL001C;VPS8\n", True),
        ("gene\tpartner\nYAL001C\tVPS8\n", False),
        ("orf1,orf2\n4932.YAL001C,4932.YAL002W\n", False),
        ("gene1,gene2\nYAL001C\u200b,VPS8\n", False),
        ("# made by hand\n# gene pairs\ngene1\tgene2\n\nYAL001C\tVPS8\n", False),
        ("\ufeffgene1\tgene2\r\nYAL001C\tVPS8\r\n", False),
    ],
)
def test_the_header_tells_separator_columns_and_direction(tmp_path: Path, text: str, directed: bool) -> None:
    expected = {(0, 1)} if directed else {(0, 1), (1, 0)}
    assert edges_of(write(tmp_path / "edges.txt", text)) == expected


def test_gzip_and_zip_are_recognised_by_content(tmp_path: Path) -> None:
    text = "gene1\tgene2\nYAL001C\tYAL003W\n"
    (tmp_path / "a.tsv").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "b.tsv", "w") as archive:
        archive.writestr("edges.tsv", text)
    assert edges_of(tmp_path / "a.tsv") == edges_of(tmp_path / "b.tsv") == {(0, 2), (2, 0)}


def test_columns_and_direction_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "edges.tsv", "kinase\tkind\tsubstrate\nTFC3\tx\tEFB1\n")
    options = {"source_column": "kinase", "target_column": "substrate"}
    assert edges_of(path, directed=True, **options) == {(0, 2)}
    assert edges_of(path, directed=False, **options) == {(0, 2), (2, 0)}


def test_a_file_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "edges.tsv", "YAL001C\tVPS8\t0.5\nYAL002W\tYAL003W\t0.9\n")
    assert edges_of(path, has_header=False, directed=True) == {(0, 1), (1, 2)}
    scored = read_edge_list(path, "net", has_header=False, score_column="3", min_score=0.6)
    assert scored.resolve(NAMES).network.edges.tolist() == [[2, 1], [1, 2]]


def test_scores_are_scaled_and_thresholded(tmp_path: Path) -> None:
    text = "gene1,gene2,score\nYAL001C,VPS8,900\nYAL001C,EFB1,100\nVPS8,EFB1,0\n"
    path = write(tmp_path / "edges.csv", text)
    read = read_edge_list(path, "net", score_scale=1000, directed=True)
    network = read.resolve(NAMES).network
    assert network.scores is not None
    assert network.scores.tolist() == pytest.approx([0.9, 0.1])
    assert read.notes == ("network net: 1 rows left out with a score of zero",)
    strict = read_edge_list(path, "net", score_scale=1000, min_score=500, directed=True)
    assert strict.resolve(NAMES).network.edges.tolist() == [[0], [1]]
    assert strict.notes == ("network net: 2 rows left out with a score below 500",)


def test_a_score_under_a_name_that_is_not_known_is_said_not_to_be_used(tmp_path: Path) -> None:
    text = "gene1,gene2,combined_score\nYAL001C,VPS8,900\n"
    read = read_edge_list(write(tmp_path / "edges.csv", text), "net")
    assert read.scores is None
    assert read.notes == ("network net: columns not used: combined_score",)


def test_unknown_genes_are_counted_and_their_rows_left_out(tmp_path: Path) -> None:
    text = "gene1\tgene2\nYAL001C\tVPS8\nYAL001C\tQ0010\nq0010\tNEW1\nVPS8\tVPS8\nVPS8\tTFC3\n"
    resolved = read_edge_list(write(tmp_path / "e.tsv", text), "net").resolve(NAMES)
    assert resolved.unresolved == {"Q0010": 2, "NEW1": 1}
    assert resolved.network.edges.tolist() == [[1, 0], [0, 1]]
    assert resolved.summary == (
        "network net: 5 rows of e.tsv; 2 with unknown genes left out; 1 self-loops left out; "
        "2 repeated edges merged; 2 edges (undirected, so in both directions)"
    )


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "edges.tsv: the file is empty; expected the edge list of network 'net'"),
        (
            "from_gene\tto_gene\nA\tB\n",
            {},
            "edges.tsv: no two columns of gene names; expected for example 'gene1' and 'gene2', or "
            "'regulator' and 'target', found the columns 'from_gene', 'to_gene': name them with "
            "columns: [first, second], or set header: false for a file without a header.",
        ),
        (
            "YAL001C\tVPS8\nYAL001C\tEFB1\n",
            {"source_column": "YAL001C", "target_column": "VPS8"},
            "edges.tsv, line 1: 'YAL001C' looks like data, not like a column's name; set header: false",
        ),
        (
            "gene1\tgene2\nYAL001C\tVPS8\nYAL001C\tNA\n",
            {},
            "edges.tsv, line 3, column 'gene2': expected a gene name, got 'NA'.",
        ),
        (
            "kinase\tsubstrate\nA\tB\n",
            {"source_column": "kinases", "target_column": "substrate"},
            "edges.tsv: no column 'kinases'; found the columns 'kinase', 'substrate'. Did you mean 'kinase'?",
        ),
        (
            "gene1\tgene2\tscore\nYAL001C\tVPS8\t0.5\n\nYAL001C\tEFB1\thigh\n",
            {},
            "edges.tsv, line 4, column 'score': expected a number, got 'high'.",
        ),
        (
            "gene1\tgene2\tscore\nYAL001C\tVPS8\tnan\n",
            {},
            "edges.tsv, line 2, column 'score': expected a score from 0 to 1, got nothing.",
        ),
        (
            "gene1\tgene2\tscore\nYAL001C\tVPS8\tinf\n",
            {},
            "edges.tsv, line 2, column 'score': the value is infinite; expected a finite number.",
        ),
        (
            "gene1\tgene2\tscore\nYAL001C\tVPS8\t0.5\nYAL001C\tEFB1\t700\n",
            {},
            "edges.tsv, line 3, column 'score': expected a score from 0 to 1, got 700; set score_scale",
        ),
        (
            "gene1\tgene2\tscore\nYAL001C\tVPS8\t-0.5\n",
            {},
            "edges.tsv, line 2, column 'score': expected a score from 0 to 1, got -0.5",
        ),
        (
            "gene1\tgene2\tscore\nYAL001C\tVPS8\t\n",
            {},
            "edges.tsv, line 2, column 'score': expected a score from 0 to 1, got nothing.",
        ),
        (
            "gene1\tgene2\nYAL001C\tVPS8\nYAL001C\t\n",
            {},
            "edges.tsv, line 3, column 'gene2': expected a gene name, got nothing.",
        ),
        (
            "gene1\tgene2\nYAL001C\n",
            {},
            "edges.tsv, line 2, column 'gene2': expected a gene name, got nothing.",
        ),
        (
            "gene1,gene2,score\nYAL001C,VPS8,0.5\nYAL001C,EFB1,0,5\n",
            {},
            "edges.tsv, line 3: more fields than the 3 columns 'gene1', 'gene2', 'score'.",
        ),
        ("gene1\tgene2\nYAL001C\tVPS8\n", {"min_score": 0.5}, "edges.tsv: no column 'score' or 'weight'"),
        (
            "gene1\tgene2\nA\tB\n",
            {"score_column": "w"},
            "edges.tsv: no column 'w'; found the columns 'gene1'",
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, options: dict[str, object], message: str) -> None:
    path = write(tmp_path / "edges.tsv", text)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        edges_of(path, **options)
    assert str(tmp_path) in str(error.value)


def test_a_missing_file_gives_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "physical.tsv", "")
    message = (
        "phisical.tsv: no such file; expected the edge list of network 'net'. Did you mean 'physical.tsv'?"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        read_edge_list(tmp_path / "phisical.tsv", "net")
    with pytest.raises(DataError, match=r"no such file \(there is no folder"):
        read_edge_list(tmp_path / "nowhere" / "physical.tsv", "net")
    with pytest.raises(DataError, match="is a folder; expected a file"):
        read_edge_list(tmp_path, "net")


def test_archives_that_are_no_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.tsv", "")
        archive.writestr("b.tsv", "")
    with pytest.raises(DataError, match=r"the zip archive holds 2 files \('a.tsv', 'b.tsv'"):
        read_edge_list(tmp_path / "two.zip", "net")
    with zipfile.ZipFile(tmp_path / "sheet.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
    with pytest.raises(DataError, match="is a spreadsheet; save the sheet as tab-separated text"):
        read_edge_list(tmp_path / "sheet.xlsx", "net")
    whole = gzip.compress(("gene1\tgene2\n" + "YAL001C\tVPS8\n" * 5000).encode())
    (tmp_path / "cut.tsv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.tsv\.gz: cannot be read"):
        read_edge_list(tmp_path / "cut.tsv.gz", "net")
