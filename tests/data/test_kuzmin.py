import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.kuzmin2018 import read_kuzmin2018
from gisearch.data.sources.kuzmin2020 import read_kuzmin2020
from gisearch.data.sources.named_genotypes import NamedGenotypes, ResolvedGenotypes, resolve_genotypes
from gisearch.errors import DataError

NAMES = GeneNames(("YAL015C", "YBL007C", "YBL008W", "YBR001C", "YOR070C", "YDL227C"))
HEADER_2018 = (
    "Query strain ID",
    "Query allele name",
    "Array strain ID",
    "Array allele name",
    "Combined mutant type",
    "Raw genetic interaction score (epsilon)",
    "Adjusted genetic interaction score (epsilon or tau)",
    "P-value",
    "Query single/double mutant fitness",
    "Array single mutant fitness",
    "Combined mutant fitness",
    "Combined mutant fitness standard deviation",
)
HEADER_2020 = (
    *HEADER_2018[:10],
    "Double/triple mutant fitness",
    "Double/triple mutant fitness standard deviation",
)
HO = "YAL015C+YDL227C_tm461"
DOUBLE = (
    HO,
    "ntg1Δ+hoΔ",
    "YBL007C_dma91",
    "sla1Δ",
    "digenic",
    "0.007534",
    "0.007534",
    "4.50E-01",
    "",
    "0.962",
)
TRIPLE = (
    "YAL015C+YBR001C_tm12",
    "a",
    "YBL008W_dma90",
    "b",
    "trigenic",
    "-0.3",
    "-0.25",
    "1.00E-04",
    "0.9",
    "",
)


def write(
    tmp_path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = HEADER_2018, title: str = ""
) -> Path:
    path = tmp_path / "kuzmin.tsv"
    path.write_text(title + "".join("\t".join(row) + "\n" for row in (header, *rows)), encoding="utf-8")
    return path


def resolve(table: NamedGenotypes) -> ResolvedGenotypes:
    return resolve_genotypes([table], NAMES)


def test_doubles_through_the_neutral_locus_and_triples(tmp_path: Path) -> None:
    path = write(tmp_path, [(*DOUBLE, "0.9695", "0.0465"), (*TRIPLE, "NaN", "NaN")])
    built = resolve(read_kuzmin2018(path)).genotypes
    assert [built.genes_of(i).tolist() for i in range(2)] == [[0, 1], [0, 2, 3]]
    nan = np.nan
    expected = {
        "gene_interaction": [0.007534, -0.25],
        "gene_interaction_p": [0.45, 1e-4],
        "fitness": [0.9695, nan],
        "fitness_std": [0.0465, nan],
    }
    assert set(built.labels) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(built.labels[name], np.array(values, dtype=np.float32))
    assert built.binary == frozenset()


def test_the_same_genes_with_other_alleles_or_roles_are_averaged(tmp_path: Path) -> None:
    other_allele = ("YAL015C+YDL227C_tm462", *DOUBLE[1:6], "0.1", "0.01", *DOUBLE[8:], "0.8", "0.01")
    swapped = ("YBL007C+YDL227C_tm7", "x", "YAL015C_dma3", *DOUBLE[3:6], "0.2", "0.5", *DOUBLE[8:], "", "")
    path = write(tmp_path, [(*DOUBLE, "0.9", "0.07"), other_allele, swapped])
    resolved = resolve(read_kuzmin2018(path))
    labels = resolved.genotypes.labels
    assert len(resolved.genotypes) == 1
    assert labels["gene_interaction"][0] == pytest.approx((0.007534 + 0.1 + 0.2) / 3)
    assert labels["gene_interaction_p"][0] == pytest.approx(0.5)
    assert labels["fitness"][0] == pytest.approx(0.85)
    assert labels["fitness_std"][0] == pytest.approx(0.05)
    assert resolved.notes == ("kuzmin.tsv: 1 genotypes measured more than once were averaged",)
    with pytest.raises(
        DataError, match=r"lines 2 and 3: the same genotype with different values of 'gene_inter"
    ):
        resolve(read_kuzmin2018(path, duplicates="error"))


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    same_gene = (DOUBLE[0], "", "YAL015C_dma4", *DOUBLE[3:], "0.9", "0.1")
    contradiction = (*TRIPLE[:4], "digenic", *TRIPLE[5:], "0.9", "0.1")
    unknown = (*TRIPLE[:2], "YBR999W_dma1", *TRIPLE[3:], "0.9", "0.1")
    table = read_kuzmin2018(write(tmp_path, [same_gene, contradiction, unknown, (*DOUBLE, "1", "0.1")]))
    assert table.notes == (
        "kuzmin.tsv: 1 rows left out: the query holds the array's gene",
        "kuzmin.tsv: 1 rows left out: strain IDs that contradict the combined mutant type",
    )
    resolved = resolve(table)
    assert len(resolved.genotypes) == 1
    assert resolved.unresolved == {"kuzmin.tsv": {"YBR999W": 1}}


def test_kuzmin_2020_has_a_title_and_other_fitness_columns(tmp_path: Path) -> None:
    title = "Table S1. Raw genetic interaction dataset. This file contains scores with 12 columns.\n\n"
    path = write(tmp_path, [(*DOUBLE, "0.9695", "0.0465"), (*TRIPLE, "0.4", "")], HEADER_2020, title)
    table = read_kuzmin2020(path)
    assert table.lines.tolist() == [4, 5]
    labels = resolve(table).genotypes.labels
    np.testing.assert_allclose(labels["fitness"], np.array([0.9695, 0.4], dtype=np.float32))
    np.testing.assert_allclose(labels["fitness_std"], np.array([0.0465, np.nan], dtype=np.float32))


def test_kuzmin_2020_as_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "aaz5667-Table-S1.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    with pytest.raises(DataError, match=r"Table-S1\.xlsx: is a spreadsheet; save the sheet as tab-separated"):
        read_kuzmin2020(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((*DOUBLE[:6], "strong", *DOUBLE[7:], "", ""), "line 2, column 'Adjusted genetic interaction score"),
        (("", *DOUBLE[1:], "", ""), "line 2: expected a query and an array strain ID, got nothing"),
        (
            ("A+B_tm1", "", "C+D_dma1", *DOUBLE[3:], "", ""),
            "line 2: expected strain IDs that name 1 to 3 genes, got 'A+B_tm1' and 'C+D_dma1'",
        ),
        (
            ("_tm1", "", "_dma1", *DOUBLE[3:], "", ""),
            "expected strain IDs that name 1 to 3 genes",
        ),
    ],
)
def test_bad_rows(tmp_path: Path, row: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_kuzmin2018(write(tmp_path, [row]))


def test_a_missing_column_names_the_file(tmp_path: Path) -> None:
    header = tuple(name for name in HEADER_2018 if not name.startswith("Adjusted"))
    with pytest.raises(
        DataError, match=r"no column 'Adjusted genetic interaction score .* found the columns 'Query"
    ):
        read_kuzmin2018(write(tmp_path, [], header))
    with pytest.raises(DataError, match=r"no such file; expected Data S1 of Kuzmin et al\. 2018"):
        read_kuzmin2018(tmp_path / "aao1729_data_s1.tsv")
    with pytest.raises(DataError, match=r"expected Table S1 of Kuzmin et al\. 2020"):
        read_kuzmin2020(tmp_path / "s1.tsv")


def test_a_query_of_the_neutral_locus_alone_has_no_interaction(tmp_path: Path) -> None:
    """A control: its score is that of a single deletion, also where no column says so."""
    row = ("YDL227C_sn1", "ho", "YBL007C_dma2", "sla1", "", "0.1", "0.1", "0.5", "", "0.9", "0.9", "0.01")
    path = write(tmp_path, [(*DOUBLE, "0.9", "0.1"), row])
    text = path.read_text().splitlines()
    kind = HEADER_2018.index("Combined mutant type")
    path.write_text(
        "\n".join("\t".join(c for i, c in enumerate(r.split("\t")) if i != kind) for r in text) + "\n"
    )
    resolved = resolve(read_kuzmin2018(path))
    assert [resolved.genotypes.genes_of(i).tolist() for i in range(2)] == [[0, 1], [1]]
    np.testing.assert_allclose(resolved.genotypes.labels["gene_interaction"], [0.007534, np.nan], rtol=1e-5)
    np.testing.assert_allclose(resolved.genotypes.labels["fitness"], [0.9, 0.9], rtol=1e-5)
    assert resolved.notes[-1].startswith(
        "kuzmin.tsv: 1 rows delete a single gene, whose gene_interaction is none"
    )
