import re
from pathlib import Path

import numpy as np
import pytest

from gisearch.config import build
from gisearch.data.config import TablesData
from gisearch.data.gene_names import GeneNames
from gisearch.data.load import load_tables
from gisearch.data.sources.costanzo2016 import read_costanzo2016, read_costanzo2016_strains
from gisearch.data.sources.named_genotypes import resolve_genotypes
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL003W", "YBL007C", "YDL227C", "YHR001W-A"))
HEADER = (
    "Query Strain ID\tQuery allele name\tArray Strain ID\tArray allele name\tArraytype/Temp\t"
    "Genetic interaction score (\u03b5)\tP-value\tQuery single mutant fitness (SMF)\tArray SMF\t"
    "Double mutant fitness\tDouble mutant fitness standard deviation\n"
)
# Two alleles of one pair, at two temperatures; query and array exchanged; ho; a suppressor; no query fitness.
NXN = HEADER + (
    "YAL001C_sn1\ttfc3\tYBL007C_dma91\tsla1\tDMA30\t-0.10\t0.01\t\t0.96\t0.8\t0.030489999999999996\n"
    "YAL001C_damp2\ttfc3-damp\tYBL007C_tsa7\tsla1-1\tTSA26\t-0.20\t0.05\t0.9\t0.96\t0.7\t0.04\n"
    "YDL227C_sn9\tho\tYBL007C_dma91\tsla1\tDMA30\t0.02\t0.5\t1.0\t0.96\t0.95\t0.02\n"
    "YHR001W-A_S4\tqcr10-supp1\tYBL007C_dma91\tsla1\tDMA26\t0.3\tNaN\t\t\tNaN\tNaN\n"
)
EXE = HEADER + (
    "YBL007C_tsq5\tsla1-5\tYAL001C_tsa3\ttfc3-3\tTSA30\t-0.30\t0.02\t0.9\t0.9\t0.6\t0.05\n"
    "YAL003W_tsq6\tefb1-1\tYAL003W_tsa3\tefb1-3\tTSA30\t-0.90\t0.02\t0.9\t0.9\t0.6\t0.05\n"
)


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_alleles_temperatures_and_files_of_one_pair_are_one_genotype(tmp_path: Path) -> None:
    files = write(tmp_path, "SGA_NxN.txt", NXN), write(tmp_path, "SGA_ExE.txt", EXE)
    resolved = resolve_genotypes([read_costanzo2016(path) for path in files], NAMES)
    built = resolved.genotypes
    assert [built.genes_of(i).tolist() for i in range(len(built))] == [[0, 2], [2], [2, 4]]
    expected = {
        "gene_interaction": [-0.2, np.nan, 0.3],
        "gene_interaction_p": [0.05, np.nan, np.nan],
        "fitness": [0.7, 0.95, np.nan],
        "fitness_std": [np.sqrt((0.03049**2 + 0.04**2 + 0.05**2) / 3), 0.02, np.nan],
    }
    assert set(built.labels) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(built.labels[name], values, rtol=1e-5)
    assert resolved.notes == (
        "SGA_NxN.txt: 1 rows delete a single gene, whose gene_interaction is none and was left out",
        "SGA_ExE.txt: 1 rows left out: the query holds the array's gene",
        "SGA_NxN.txt and SGA_ExE.txt: 1 genotypes measured more than once were averaged",
    )


def test_a_cross_of_the_neutral_locus_with_itself_is_left_out(tmp_path: Path) -> None:
    row = "YDL227C_sn9\tho\tYDL227C_dma1\tho\tDMA30\t0.02\t0.5\t1.0\t1.0\t1.0\t0.02\n"
    table = read_costanzo2016(write(tmp_path, "SGA_NxN.txt", NXN + row))
    assert len(table.codes) == 4
    assert table.notes == ("SGA_NxN.txt: 1 rows left out: nothing but ho is deleted",)


def test_repeats_can_be_refused(tmp_path: Path) -> None:
    table = read_costanzo2016(write(tmp_path, "SGA_NxN.txt", NXN), duplicates="error")
    with pytest.raises(DataError, match=r"SGA_NxN\.txt, lines 2 and 3: the same genotype with"):
        resolve_genotypes([table], NAMES)


def test_the_strain_table_is_one_of_single_mutants(tmp_path: Path) -> None:
    text = (
        "Strain ID,Systematic gene name,Allele/Gene name,Single mutant fitness (26\u00b0),"
        "Single mutant fitness (26\u00b0) stddev,Single mutant fitness (30\u00b0),"
        "Single mutant fitness (30\u00b0) stddev\n"
        "YAL001C_tsq1,YAL001C,tfc3-1,0.8,0.3,,\nYBL007C_dma91,YBL007C,sla1,0.96,0.01,0.96,0.01\n"
        "YAL001C_tsa2,YAL001C,tfc3-2,0.6,0.4,0.1,0.1\nYHR001W-A_sn4,YHR001W-A,qcr10,NaN,NaN,,\n"
    )
    table = read_costanzo2016_strains(write(tmp_path, "strains.csv", text))
    built = resolve_genotypes([table], NAMES).genotypes
    assert [built.genes_of(i).tolist() for i in range(len(built))] == [[0], [2], [4]]
    np.testing.assert_allclose(built.labels["fitness"], [0.7, 0.96, np.nan], rtol=1e-6)
    np.testing.assert_allclose(built.labels["fitness_std"], [np.sqrt(0.125), 0.01, np.nan], rtol=1e-6)


def test_it_is_a_format_of_genotypes(tmp_path: Path) -> None:
    net = write(tmp_path, "net.tsv", "gene1\tgene2\nYAL001C\tYBL007C\n")
    path = write(tmp_path, "SGA_NxN.txt", NXN)
    config = build(
        TablesData,
        {
            "networks": {"net": {"path": str(net)}},
            "genotypes": {"nxn": {"path": str(path), "format": "costanzo2016"}},
        },
    )
    _, genotypes, report = load_tables(config, use_cache=False)
    assert len(genotypes) == 3
    assert "genotypes: 4 rows of SGA_NxN.txt; 1 single, 2 double deletions" in report.sources


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NXN.replace("Genetic interaction score", "Score"), "no column 'Genetic interaction score"),
        (
            NXN.replace("-0.20", "low"),
            "line 3, column 'Genetic interaction score (\u03b5)': expected",
        ),
        (
            NXN.replace("YAL001C_sn1", "_sn1").replace("YBL007C_dma91", "_dma1"),
            "line 2: expected strain IDs",
        ),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_costanzo2016(write(tmp_path, "SGA_NxN.txt", text))
