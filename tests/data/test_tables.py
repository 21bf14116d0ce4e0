import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.sources.tables import open_table
from gisearch.errors import DataError

TEXT = "gene1,gene2,fitness\nYAL001C,YAL002W,0.5\nYAL003W,YAL005C,0.25\n"


def read(path: Path, *numbers: str) -> list[list[object]]:
    """Return the two gene columns and some numbers of a table, row by row."""
    table = open_table(path, "a table", (("gene1",), ("gene2",)))
    frame = table.read(["gene1", "gene2"], numbers)
    return [[str(a), str(b), *rest] for a, b, *rest in frame.itertuples(index=False)]


def write(tmp_path: Path, content: str | bytes, name: str = "table.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__SLASH__", "/"), text)
    return buffer.getvalue()


def tarred(text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("table.csv")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


# From R's write.table, and from a spreadsheet.
@pytest.mark.parametrize("separator", ["\t", ",", ";", " "])
def test_quotes_are_quotes_in_every_dialect(tmp_path: Path, separator: str) -> None:
    quoted = re.sub(r"[^,\n]+", lambda cell: f'"{cell[0]}"', TEXT).replace(",", separator)
    expected = [["YAL001C", "YAL002W", 0.5], ["YAL003W", "YAL005C", 0.25]]
    assert read(write(tmp_path, quoted), "fitness") == expected
    assert [cells for _, cells in open_table(tmp_path / "table.txt", "a table").rows()] == [
        ("YAL001C", "YAL002W", "0.5"),
        ("YAL003W", "YAL005C", "0.25"),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_separator_within_a_quoted_header_shifts_nothing(tmp_path: Path, separator: str) -> None:
    header = separator.join(["gene1", "gene2", f'"SMF{separator} query"', "fitness", "gene_interaction"])
    row = separator.join(["YAL001C", "YAL002W", "0.9", "0.5", "-0.2"])
    path = write(tmp_path, f"{header}\n{row}\n")
    assert read(path, "fitness", "gene_interaction") == [["YAL001C", "YAL002W", 0.5, -0.2]]


def test_a_prime_in_a_tab_separated_table_is_no_quote(tmp_path: Path) -> None:
    text = 'gene1\tgene2\tnote\nYAL001C\tYAL002W\t"5\' end\nYAL003W\t"YAL005C"\tthe 3" end\n'
    table = open_table(write(tmp_path, text), "a table")
    assert [cells for _, cells in table.rows()] == [
        ("YAL001C", "YAL002W", "\"5' end"),
        ("YAL003W", '"YAL005C"', 'the 3" end'),
    ]
    # Two primes that enclose a tab and a line break are no cell of two lines.
    text = 'gene1\tgene2\tnote\nA\tB\t"open\nC\tD\tx\nE\t"F"\ty\nG\tH\tclosed"\n'
    assert len(read(write(tmp_path, text))) == 4


def test_a_quote_that_is_never_closed_gives_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'gene1,gene2,note\n"YAL001C",YAL002W,"a\nb"\nYAL003W,"YAL005C,x\nA,B,5"3\n')
    with pytest.raises(DataError, match=r"table\.txt, line 4: a quotation mark opens a cell and is never"):
        read(path)


def test_a_quoted_line_break_counts_as_a_line(tmp_path: Path) -> None:
    text = 'gene1,gene2,note,fitness\nYAL001C,YAL002W,"two\nlines",0.5\n\nYAL003W,YAL005C,,low\n'
    path = write(tmp_path, text)
    assert next(open_table(path, "a table").rows()) == (2, ("YAL001C", "YAL002W", "two\nlines", "0.5"))
    with pytest.raises(DataError, match=r"line 5, column 'fitness': expected a number, got 'low'"):
        read(path, "fitness")
    header = write(tmp_path, 'gene1,"gene\n2",fitness\nYAL001C,YAL002W,0.5\n')
    table = open_table(header, "a table", (("gene1",), ("gene2",)))
    assert table.columns == ("gene1", "gene\n2", "fitness")
    assert table.read([], ["fitness"])["fitness"].tolist() == [0.5]


@pytest.mark.parametrize(
    "spelling", ["NA", "NaN", "nan", "None", "null", "N/A", "#N/A", "-", ".", " ", "  NA "]
)
def test_a_missing_number_is_missing_however_it_is_spelt(tmp_path: Path, spelling: str) -> None:
    path = write(tmp_path, f"gene1,gene2,fitness\nYAL001C,YAL002W,{spelling}\nYAL003W,YAL005C,0.25\n")
    values = np.array([row[2] for row in read(path, "fitness")], dtype=float)
    np.testing.assert_array_equal(values, [np.nan, 0.25])


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda content: zipped(**{"table.csv": content.decode()}),
        lambda content: zipped(
            **{
                "data__SLASH__": "",
                "data__SLASH__table.csv": content.decode(),
                "__MACOSX__SLASH__data__SLASH__._table.csv": "\0\5\26\7",
                "data__SLASH__.DS_Store": "\0",
            }
        ),
        lambda content: gzip.compress(lzma.compress(content)),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.replace(b"\n", b"\r"),
    ],
)
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_what_a_file_is_tells_its_content_not_its_name(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    path = write(tmp_path, pack(TEXT.encode()), name)
    assert read(path, "fitness") == [["YAL001C", "YAL002W", 0.5], ["YAL003W", "YAL005C", 0.25]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\x28\xb5\x2f\xfd" + bytes(30),
            "is compressed by zstd; expected plain text, gzip, xz, bzip2 or zip",
        ),
        (gzip.compress(tarred(TEXT), mtime=0), "is a tar archive; unpack it and name the file to read"),
        (lzma.compress(tarred(TEXT)), "is a tar archive; unpack it and name the file to read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "is a spreadsheet; save the sheet as tab-"),
        (zipped(**{"[Content_Types].xml": "", "xl__SLASH__a.xml": ""}), "is a spreadsheet; save the sheet"),
        (zipped(**{"a.csv": TEXT, "b.csv": TEXT}), "the zip archive holds 2 files ('a.csv', 'b.csv')"),
        (b"\n<!DOCTYPE html><html>...", "is a web page; expected a table as text"),
        (TEXT.encode("utf-16"), "is text in UTF-16; expected UTF-8"),
        (TEXT.encode() + TEXT.encode("utf-16-le"), "line 4: text in UTF-16 begins there; expected UTF-8"),
        (TEXT.encode("utf-16-be"), "line 1: text in UTF-16 begins there; expected UTF-8"),
        (TEXT.replace("0.25", "-0.\x00171").encode(), "line 3: a byte is zero, as in a damaged file"),
        (TEXT.encode() + bytes(4096), "line 4: a byte is zero, as in a damaged file"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-12], "cannot be read"),
        (lzma.compress(TEXT.encode())[:-12], "cannot be read"),
    ],
    # Names without the content, which holds the time that it was packed at.
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else None,
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read(path, "fitness")
    assert str(error.value).startswith(str(path))


def test_a_doubled_column_is_refused(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, "gene1,gene2,Score,score,note,note\nA,B,1,2,x,y\n"), "a table")
    assert table.find("score") == "score"
    for call in (lambda: table.find("SCORE"), lambda: table.read(["note"])):
        with pytest.raises(DataError, match=r"two columns are called '(Score' and 'score|note)'; rename"):
            call()


def test_rows_that_are_no_text_in_utf_8_give_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT.encode() + "YAL001C,YAL005C,naïve\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"table\.txt, line 4: is no text in UTF-8"):
        list(open_table(path, "a table").rows())
