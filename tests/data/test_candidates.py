from __future__ import annotations

import gzip
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.candidates import Candidates, read_genes
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YBR003W"), ("TFC3", "VPS8", "COQ1"))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_every_set_comes_once_in_order(order: int, size: int) -> None:
    genes = [9, 2, 4, 30, 5, 11]
    candidates = Candidates(genes, order)
    expected = list(combinations(sorted(genes), order))
    blocks = [candidates.block(b.start, b.stop) for b in candidates.blocks(size)]
    assert [tuple(row) for block in blocks for row in block.genes.tolist()] == expected
    assert [rank for block in blocks for rank in block.ranks.tolist()] == list(range(len(expected)))
    assert len(candidates) == candidates.total == len(expected)
    assert candidates.ranks_of(np.array(expected)).tolist() == list(range(len(expected)))


@pytest.mark.parametrize("order", [2, 3])
def test_as_few_genes_as_can_be(order: int) -> None:
    candidates = Candidates(range(order), order)
    assert candidates.block(0, 10).genes.tolist() == [list(range(order))]


def test_ranks_of_the_yeast_genome_are_exact() -> None:
    """All triples of 6,607 genes: 4.8e10, more than 32 bits hold."""
    candidates = Candidates(range(6607), 3)
    assert candidates.total == 6607 * 6606 * 6605 // 6
    ranks = np.array([0, 1, 6604, 6605, 2**33 + 12345, candidates.total - 1])
    genotypes = candidates.genotypes(ranks)
    assert genotypes[:4].tolist() == [[0, 1, 2], [0, 1, 3], [0, 1, 6606], [0, 2, 3]]
    assert genotypes[-1].tolist() == [6604, 6605, 6606]
    assert candidates.ranks_of(genotypes).tolist() == ranks.tolist()


def test_measured_genotypes_are_left_out() -> None:
    genotypes = Genotypes.build(
        [[1, 2], [3], [0, 4], [0, 9], [0, 1, 2], [1, 2, 4]], {"fitness": [0.5] * 6}, num_genes=10
    )
    pairs, triples = Candidates(range(5), 2), Candidates(range(5), 3)
    pairs.omit(genotypes)
    triples.omit(genotypes)
    assert (len(pairs), pairs.total, pairs.num_omitted) == (8, 10, 2)
    rows = [row for b in pairs.blocks(3) for row in pairs.block(b.start, b.stop).genes.tolist()]
    assert rows == [list(p) for p in combinations(range(5), 2) if p not in ((1, 2), (0, 4))]
    rows = triples.block(0, 10).genes.tolist()
    assert rows == [list(p) for p in combinations(range(5), 3) if p not in ((0, 1, 2), (1, 2, 4))]
    pairs.omit(genotypes)
    assert len(pairs) == 8, "left out once"


def test_too_few_genes() -> None:
    with pytest.raises(DataError, match=r"^candidates: a triple needs at least 3 genes, got 2\.$"):
        Candidates([4, 5, 4], 3)
    with pytest.raises(DataError, match=r"^candidates: expected pairs \(2\) or triples \(3\), got 4\.$"):
        Candidates(range(9), 4)


def test_a_list_of_genes(tmp_path: Path) -> None:
    path = tmp_path / "genes.txt"
    path.write_text("# kinases\ncoq1\n\n  YAL001C  # TFC3\n")
    assert read_genes(path, NAMES).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TFC3\nTFC4\n", "{}, line 2: unknown gene 'TFC4'. Did you mean 'TFC3'?"),
        ("TFC3\n#\nyal001c\n", "{}, line 3: 'yal001c' is the gene of line 1 again."),
        (
            "# nothing\n",
            "the list of genes {} is empty; expected a systematic or standard name per line.",
        ),
    ],
)
def test_a_bad_list_of_genes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "genes.txt"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_genes(path, NAMES)
    assert str(error.value) == message.format(path)


@pytest.mark.parametrize(
    "text",
    [
        "gene\tscore\nCOQ1\t1\n\nYAL001C\t2\n",
        '# by hand\n"systematic_name","note"\n"YBR003W","x, y"\n"YAL001C",\n',
        "\ufeffCOQ1\r\n4932.YAL001C\r\n",
        "# gene of interest\nCOQ1\nNA\nTFC3\n",
    ],
)
def test_a_list_is_read_as_other_tables_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / "genes.txt"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_genes(path, NAMES).tolist() == [2, 0]


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file; expected a list of genes"):
        read_genes(tmp_path / "none.txt", NAMES)
    (tmp_path / "bad.txt").write_bytes(b"TFC3\n\xf0\n")
    with pytest.raises(DataError, match=r"bad\.txt, line 2: is no text in UTF-8"):
        read_genes(tmp_path / "bad.txt", NAMES)
    (tmp_path / "bad.txt").write_bytes("TFC3\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"bad\.txt: is text in UTF-16"):
        read_genes(tmp_path / "bad.txt", NAMES)
