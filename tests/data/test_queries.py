from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.queries import read_queries, write_scores
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YBR003W"), ("TFC3", "VPS8", "COQ1"), {"FUN24": ("YAL001C",)})
SCORES = np.array([0.5, -0.25], dtype=np.float32)
GOOD = "gene1,gene2,gene3\nTFC3,yal002w,\nYBR003W,,\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "genotypes.csv"
    path.write_text(GOOD)
    return path


def test_systematic_and_standard_names(table: Path) -> None:
    queries = read_queries(table, NAMES)
    assert queries.table.tolist() == [[0, 1, -1], [2, -1, -1]]
    assert queries.table.dtype == np.int64
    assert queries.columns == ("gene1", "gene2", "gene3")
    assert queries.rows[0] == ("TFC3", "yal002w", "")


def test_tsv_gzip_other_columns_and_aliases(tmp_path: Path) -> None:
    path = tmp_path / "genotypes.tsv.gz"
    path.write_bytes(gzip.compress("\ufeffnote\tGene1\tgene2\nx y\tFUN24\tCOQ1\n".encode()))
    queries = read_queries(path, NAMES)
    assert queries.table.tolist() == [[0, 2, -1]]
    assert queries.columns == ("note", "Gene1", "gene2")
    assert queries.delimiter == "\t"


def test_the_order_of_genes_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("gene1,gene2,gene3\nCOQ1,,TFC3\n,VPS8,\n")
    assert read_queries(path, NAMES).table.tolist() == [[0, 2, -1], [1, -1, -1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the genotype table {} is empty; expected the columns gene1, gene2, gene3."),
        ("gene1,gene2\n", "the genotype table {} has no rows to score."),
        (
            "gene_1,b\nTFC3,x\n",
            "{}, line 1: the column 'gene1' is missing (found: gene_1, b); expected gene1, gene2, gene3. "
            "Did you mean 'gene_1'?",
        ),
        (
            "gene1,score\nTFC3,1\n",
            "{}, line 1: the column 'score' is what the scores are written to; rename it.",
        ),
        ("gene1,Std\nTFC3,1\n", "{}, line 1: the column 'std' is what the scores are written to; rename it."),
        ("gene1,gene2\nTFC3,\nTFC4,\n", "{}, line 3: unknown gene 'TFC4'. Did you mean 'TFC3'?"),
        ("gene1,gene2\n,\n", "{}, line 2: expected at least one deleted gene, got none."),
        ("gene1,gene2\nTFC3,yal001c\n", "{}, line 2: the same gene is deleted twice."),
        ("gene1,gene2\nTFC3\n", "{}, line 2: expected 2 columns, got 1."),
        ("gene1,gene2\nTFC3,,\n", "{}, line 2: expected 2 columns, got 3."),
    ],
)
def test_bad_tables(table: Path, text: str, message: str) -> None:
    table.write_text(text)
    with pytest.raises(DataError) as error:
        read_queries(table, NAMES)
    assert str(error.value) == message.format(table)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^no genotype table at .*nothing\.csv\.$"):
        read_queries(tmp_path / "nothing.csv", NAMES)
    broken = bytearray(gzip.compress(GOOD.encode() * 50))
    broken[20:40] = bytes(20)
    for content in (b"plain", bytes(broken), gzip.compress(GOOD.encode())[:20]):
        (tmp_path / "g.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"^cannot read the genotype table .*g\.csv\.gz: "):
            read_queries(tmp_path / "g.csv.gz", NAMES)
    (tmp_path / "g.csv").write_bytes(b"gene1\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"^cannot read the genotype table .*g\.csv: 'utf-8'"):
        read_queries(tmp_path / "g.csv", NAMES)


def test_scores_stand_beside_the_input(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = read_queries(table, NAMES)
    write_scores(queries, SCORES, None, tmp_path / "out.csv")
    expected = "gene1,gene2,gene3,score\nTFC3,yal002w,,0.5\nYBR003W,,,-0.25\n"
    assert (tmp_path / "out.csv").read_text() == expected
    write_scores(queries, SCORES, SCORES + 1, tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text().splitlines() == [
        "gene1\tgene2\tgene3\tscore\tstd",
        "TFC3\tyal002w\t\t0.5\t1.5",
        "YBR003W\t\t\t-0.25\t0.75",
    ]
    write_scores(queries, SCORES, None, None)
    assert capsys.readouterr().out == expected


def test_an_unwritable_output(table: Path, tmp_path: Path) -> None:
    queries = read_queries(table, NAMES)
    with pytest.raises(
        DataError, match=r"^cannot write the scores to .*/none/out\.csv: No such file or directory\.$"
    ):
        write_scores(queries, SCORES, None, tmp_path / "none" / "out.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"^cannot write the scores to .*/folder: Is a directory\.$"):
        write_scores(queries, SCORES, None, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "genotypes.csv"]


def test_nothing_is_left_half_written(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("earlier")
    with pytest.raises(IndexError):
        write_scores(read_queries(table, NAMES), SCORES[:1], None, out)
    assert out.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["genotypes.csv", "out.csv"]
