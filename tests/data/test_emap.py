import re
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.emap import read_emap
from gisearch.data.sources.named_genotypes import resolve_genotypes
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL003W", "YBL007C"), ("TFC3", "EFB1", "SLA1"))
SQUARE = (
    "\tTFC3 - DAMP\tEFB1 - DELETION\tSLA1\n"
    "TFC3 - DAMP\t\t-4.0\t0.5\nEFB1 - DELETION\t-5.0\t9\t\nSLA1\t\t2.5\tNaN\n"
)
COLLINS = (
    "Gene\t\t\tTFC3\tEFB1\tSLA1\nMutation\t\t\tDAMP\tDELETION\tDELETION\n\tMarker\t\tNAT\tNAT\tNAT\n"
    "TFC3\tDAMP\tKAN\t\t-4.0\t0.5\nEFB1\tDELETION\tKAN\t-5.0\t9\t\nSLA1\tDELETION\tKAN\t\t2.5\tNaN\n"
)
CDT = (
    "GID\tYORF\tNAME\tGWEIGHT\tYAL001C\tYAL003W\tYBL007C\nAID\t\t\t\tARRY1X\tARRY2X\tARRY3X\n"
    "EWEIGHT\t\t\t\t1.0\t1.0\t1.0\nGENE1X\tYAL001C\tTFC3 factor\t1.0\t\t-4.0\t0.5\n"
    "GENE2X\tYAL003W\tEFB1\t1.0\t-5.0\t9\t\nGENE3X\tYBL007C\tSLA1\t1.0\t\t2.5\tNaN\n"
)


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "emap.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        SQUARE,
        SQUARE.replace("\n", "\r"),
        COLLINS,
        COLLINS.replace("KAN", "Kan\u00e9").encode("latin-1"),
        CDT,
    ],
)
def test_both_sides_of_the_diagonal_are_one_pair(tmp_path: Path, content: str | bytes) -> None:
    built = resolve_genotypes([read_emap(write(tmp_path, content))], NAMES).genotypes
    pairs = {tuple(built.genes_of(i).tolist()): v for i, v in enumerate(built.labels["gene_interaction"])}
    assert pairs == {(0, 1): -4.5, (0, 2): 0.5, (1, 2): 2.5}


def test_two_alleles_of_a_gene_are_the_gene(tmp_path: Path) -> None:
    text = "\tTFC3 - DAMP\tTFC3 - DELETION\nEFB1\t-1\t-2\nTFC3 - DELETION\t3\t\n"
    table = read_emap(write(tmp_path, text))
    built = resolve_genotypes([table], NAMES).genotypes
    np.testing.assert_allclose(built.labels["gene_interaction"], [-1.5])
    with pytest.raises(DataError, match=r"emap\.txt, lines 2 and 2: the same genotype with different values"):
        resolve_genotypes([read_emap(tmp_path / "emap.txt", duplicates="error")], NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SQUARE.replace("2.5", "low"), "line 4: expected a number, got 'low'"),
        (SQUARE.replace("2.5", "inf"), "line 4: expected a number, got 'inf'"),
        (SQUARE.replace("\t9\t\n", "\t9\n"), "line 3: expected 4 cells, got 3"),
        ("\tTFC3\tEFB1\n", "emap.txt: no score; expected a matrix with the genes' names in its first row"),
        ("\tTFC3\tEFB1\nSLA1\t1\t2\n\t1\t2\n", "line 3: expected a gene name, got nothing"),
    ],
)
def test_bad_matrices(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_emap(write(tmp_path, text))
