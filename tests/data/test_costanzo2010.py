from pathlib import Path

import numpy as np
import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.costanzo2010 import read_baryshnikova2010, read_costanzo2010
from gisearch.data.sources.named_genotypes import resolve_genotypes
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL003W", "YBL007C", "YHR001W-A", "YDL227C"))
RAW = (
    "YAL001C_tsq12\tTFC3-1\tYBL007C\tSLA1\t-0.10\t0.02\t1.0e-02\t0.9\t0.01\t0.96\t0.02\t0.76\t0.03\n"
    "YAL003W_damp\tEFB1\tYHR001W-A\tQCR10\t0.20\tNaN\tNaN\tNaN\tNaN\tNaN\tNaN\tNaN\tNaN\n"
)


def test_the_raw_data(tmp_path: Path) -> None:
    path = tmp_path / "sgadata_costanzo2009_rawdata_101120.txt"
    path.write_text(RAW)
    built = resolve_genotypes([read_costanzo2010(path)], NAMES).genotypes
    assert [built.genes_of(i).tolist() for i in range(2)] == [[0, 2], [1, 3]]
    expected = {
        "gene_interaction": [-0.1, 0.2],
        "gene_interaction_std": [0.02, np.nan],
        "gene_interaction_p": [0.01, np.nan],
        "fitness": [0.76, np.nan],
        "fitness_std": [0.03, np.nan],
    }
    assert set(built.labels) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(built.labels[name], values, rtol=1e-6)


def test_a_cut_off_file_has_seven_columns(tmp_path: Path) -> None:
    path = tmp_path / "sgadata_costanzo2009_intermediateCutoff_101120.txt"
    path.write_text("".join("\t".join(line.split("\t")[:7]) + "\n" for line in RAW.splitlines()))
    table = read_costanzo2010(path)
    assert set(table.labels) == {"gene_interaction", "gene_interaction_std", "gene_interaction_p"}
    path.write_text("YAL001C\tTFC3\n")
    with pytest.raises(DataError, match=r"Cutoff_101120\.txt: no column '3'; found the columns '1', '2'"):
        read_costanzo2010(path)


def test_the_fitness_of_single_mutants(tmp_path: Path) -> None:
    """The alleles of a gene are averaged; of ho, which is neutral, nothing is learned."""
    path = tmp_path / "smf.txt"
    path.write_text(
        "YAL001C_tsq12\t0.8\t0.3\nYAL001C_damp\t0.6\t0.4\nYDL227C\t1.0\t0.01\nYBL007C\t0.96\tNaN\n"
        "YDL227C\t1.0\t0.02\n"
    )
    resolved = resolve_genotypes([read_baryshnikova2010(path)], NAMES)
    built = resolved.genotypes
    assert [built.genes_of(i).tolist() for i in range(len(built))] == [[0], [2]]
    np.testing.assert_allclose(built.labels["fitness"], [0.7, 0.96], rtol=1e-6)
    np.testing.assert_allclose(built.labels["fitness_std"], [np.sqrt(0.125), np.nan], rtol=1e-6)
    assert resolved.notes == (
        "smf.txt: 2 rows left out: nothing but ho is deleted",
        "smf.txt: 1 genotypes measured more than once were averaged",
    )
    path.write_text("YAL001C\t0.8\t0.3\n\t0.6\t0.4\n")
    with pytest.raises(DataError, match=r"smf\.txt, line 2: expected a strain ID, got nothing"):
        read_baryshnikova2010(path)
