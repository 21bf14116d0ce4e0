from __future__ import annotations

import gzip
import io
import lzma
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.queries import read_queries, write_scores
from gisearch.data.sources.genotype_table import read_genotype_table
from gisearch.data.sources.tables import open_table
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YBR003W"), ("TFC3", "VPS8", "COQ1"), {"FUN24": ("YAL001C",)})
SCORES = np.array([0.5, -0.25], dtype=np.float32)
GOOD = "gene1,gene2,gene3\nTFC3,yal002w,\nYBR003W,,\n"


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("g.csv", content)
        archive.writestr("__MACOSX/._g.csv", b"\0\5")
    return buffer.getvalue()


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


@pytest.mark.parametrize(
    "header",
    [
        "gene1,gene_2",
        "gene1,Gene 2",
        "gene1,partner",
        "GENE-1,gene2",
        "gene,gene2",
        "geneA,geneB",
        "orf1,orf2",
    ],
)
def test_columns_go_by_the_names_that_training_knows(tmp_path: Path, header: str) -> None:
    path = tmp_path / "g.csv"
    path.write_text(f"note,{header}\nx,TFC3,COQ1\n")
    queries = read_queries(path, NAMES)
    assert queries.table.tolist() == [[0, 2, -1]]
    assert queries.unused == ("note",)
    path.write_text(f"{header},fitness\nTFC3,COQ1,0.5\n")
    assert read_genotype_table(path).codes.tolist() == [[0, 1, -1]]


@pytest.mark.parametrize(
    "text",
    [
        "gene1;gene2\nTFC3;COQ1\n\n",
        "gene1\tgene2\n4932.YAL001C\tCOQ\u200b1\n\n\n",
        '"gene1" "gene2"\n"TFC3" "COQ1"\n',
        "gene1,gene2,gene3\nTFC3,COQ1,NA\n",
        "gene1,gene2,gene3\nTFC3,COQ1,None\n",
        "gene1,gene2,gene3\nTFC3,COQ1,0\n",
        "gene1,gene2,gene4\nTFC3,COQ1,\n",
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zipped])
def test_tables_are_read_as_those_to_train_on(
    tmp_path: Path, text: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "g.csv"
    path.write_bytes(pack(text.encode()))
    assert read_queries(path, NAMES).table.tolist() == [[0, 2, -1]]


def test_a_quoted_line_break_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text('gene1,note\nTFC3,"two\nlines"\nTFC4,\n')
    with pytest.raises(DataError, match="line 4: unknown gene 'TFC4'"):
        read_queries(path, NAMES)
    path.write_text('gene1,note\nTFC3,"two\nlines"\n')
    write_scores(read_queries(path, NAMES), SCORES[:1], None, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == 'gene1,note,score\nTFC3,"two\nlines",0.5\n'


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".bz2", ".zip"])
def test_what_is_written_can_be_read_back(table: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"s.csv{ending}"
    write_scores(read_queries(table, NAMES), SCORES, None, out)
    assert out.read_bytes()[:2] == {"": b"ge", ".gz": b"\x1f\x8b", ".xz": b"\xfd7", ".bz2": b"BZ"}.get(
        ending, b"PK"
    )
    # The scores' own column is in the way of further ones; the rest is as it was.
    with pytest.raises(DataError, match="the column 'score' is what the scores are written to"):
        read_queries(out, NAMES)
    rows = list(open_table(out, "scores").rows())
    assert rows == [(2, ("TFC3", "yal002w", "", "0.5")), (3, ("YBR003W", "", "", "-0.25"))]
    write_scores(read_queries(table, NAMES), SCORES, None, tmp_path / f"t.tsv{ending}")
    assert open_table(tmp_path / f"t.tsv{ending}", "scores").separator == "\t"


def test_a_link_stays_one_and_what_it_leads_to_is_compressed(table: Path, tmp_path: Path) -> None:
    target, out = tmp_path / "kept", tmp_path / "s.csv.gz"
    target.touch(mode=0o640)
    mode = target.stat().st_mode
    out.symlink_to(target)
    write_scores(read_queries(table, NAMES), SCORES, None, out)
    assert out.is_symlink()
    assert target.stat().st_mode == mode
    assert gzip.decompress(target.read_bytes()).startswith(b"gene1,")


@pytest.mark.parametrize("name", ["p", "p.gz", "p.zip"])
def test_a_pipe_is_written_to(name: str, table: Path, tmp_path: Path) -> None:
    pipe, copy = tmp_path / name, tmp_path / f"copy_of_{name}"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        write_scores(read_queries(table, NAMES), SCORES, None, pipe)
        copy.write_bytes(read.result(timeout=20))
    assert pipe.is_fifo()
    assert open_table(copy, "scores").columns == ("gene1", "gene2", "gene3", "score")


def test_what_cannot_be_written_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"s\.csv\.zst: \.zst is not written; expected a name that ends in \.csv"
    ):
        write_scores(read_queries(table, NAMES), SCORES, None, tmp_path / "s.csv.zst")


def test_the_order_of_genes_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("gene1,gene2,gene3\nCOQ1,,TFC3\n,VPS8,\n")
    assert read_queries(path, NAMES).table.tolist() == [[0, 2, -1], [1, -1, -1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{}: the file is empty; expected a genotype table with a column gene1."),
        ("gene1,gene2\n", "the genotype table {} has no rows to score."),
        (
            "gen1,b\nTFC3,x\n",
            "{}, line 1: no column 'gene1' or 'gene'; expected gene1, gene2 and gene3, found the columns "
            "'gen1', 'b'. Did you mean 'gen1'?",
        ),
        (
            "gene1,score\nTFC3,1\n",
            "{}, line 1: the column 'score' is what the scores are written to; rename it.",
        ),
        ("gene1,Std\nTFC3,1\n", "{}, line 1: the column 'std' is what the scores are written to; rename it."),
        ("gene1,gene2\nTFC3,\nTFC4,\n", "{}, line 3: unknown gene 'TFC4'. Did you mean 'TFC3'?"),
        ("gene1,gene2\n,\n", "{}, line 2: expected at least one deleted gene, got none."),
        (
            "gene1,gene2\nTFC3,yal001c\n",
            (
                "{}, line 2: the same gene is deleted twice: 'TFC3' as the standard name and 'yal001c' "
                "as the systematic name are both YAL001C."
            ),
        ),
        (
            "gene1,gene2,gene1\nTFC3,COQ1,VPS8\n",
            "{}, line 1: two columns are called 'gene1' and 'gene1'; rename or remove one.",
        ),
        (
            "Gene1,gene_1\nTFC3,COQ1\n",
            "{}, line 1: two columns are called 'Gene1' and 'gene_1'; rename or remove one.",
        ),
        (
            "gene1,gene2,gene3,gene4\nTFC3,COQ1,,\nTFC3,,,VPS8\n",
            "{}, line 3, column 'gene4': 'VPS8' is one deleted gene more than the 3 that a genotype can "
            "have; leave such rows out.",
        ),
        (
            "gene1,gene2\nTFC3,FUN24\n",
            "{}, line 2: the same gene is deleted twice: 'TFC3' as the standard name and 'FUN24' as an alias "
            "are both YAL001C.",
        ),
        ("gene1\nTFC\u20103\n", "{}, line 2: unknown gene 'TFC-3'. Did you mean 'TFC3'?"),
        ("gene1\nTF\u04213\n", "{}, line 2: unknown gene 'TF\\u04213'. Did you mean 'TFC3'?"),
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
    with pytest.raises(DataError, match=r"nothing\.csv: no such file; expected a genotype table with"):
        read_queries(tmp_path / "nothing.csv", NAMES)
    broken = bytearray(gzip.compress(GOOD.encode() * 50))
    broken[20:40] = bytes(20)
    for content in (bytes(broken), gzip.compress(GOOD.encode())[:20]):
        (tmp_path / "g.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"g\.csv\.gz: cannot be read "):
            read_queries(tmp_path / "g.csv.gz", NAMES)
    (tmp_path / "g.csv").write_bytes(b"gene1\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"g\.csv, line 2: is no text in UTF-8"):
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
