import re
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.sources.genotype_table import read_genotype_table
from gisearch.data.sources.named_genotypes import resolve_genotypes
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YAL003W"), standard=("TFC3", "VPS8", "EFB1"))
TABLE = (
    "gene1\tgene2\tgene3\torder\tfitness\tfitness_std\tgene_interaction\tgene_interaction_p\tlethal\tcomment\n"
    "YAL001C\t\t\t1\t0.9\t0.01\t\t\t0\tslow\n"
    "VPS8\tTFC3\t\t2\t0.5\t\t-0.2\t1e-3\t1\t\n"
    "\n"
    "YAL003W\tYAL001C\tYAL002W\t3\t\t\t0.1\t0.2\t\tsick\n"
)


def write(tmp_path: Path, text: str, name: str = "screen.tsv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def genotypes(path: Path, **options: object) -> Genotypes:
    table = read_genotype_table(path, **options)  # type: ignore[arg-type]
    return resolve_genotypes([table], NAMES).genotypes


def test_genes_and_labels_are_found_from_the_header(tmp_path: Path) -> None:
    table = read_genotype_table(write(tmp_path, TABLE))
    built = resolve_genotypes([table], NAMES).genotypes
    assert [built.genes_of(i).tolist() for i in range(3)] == [[0], [0, 1], [0, 1, 2]]
    assert set(built.labels) == {"fitness", "fitness_std", "gene_interaction", "gene_interaction_p", "lethal"}
    assert built.binary == {"lethal"}
    nan = np.nan
    expected = {"fitness": [0.9, 0.5, nan], "lethal": [0, 1, nan], "gene_interaction": [nan, -0.2, 0.1]}
    for name, values in expected.items():
        np.testing.assert_allclose(built.labels[name], np.array(values, dtype=np.float32))
    assert table.lines.tolist() == [2, 3, 5]
    assert table.notes == ("screen.tsv: columns not used: comment",)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "Strain;Systematic gene name;SMF (30°)\nsn1;YAL001C;0.8\nsn2;YAL002W;\n")
    labels = {"fitness": "SMF (30°)"}
    built = genotypes(path, gene_columns=["Systematic gene name"], labels=labels, binary=[])
    assert built.genes.tolist() == [0, 1]
    np.testing.assert_allclose(built.labels["fitness"], [0.8, np.nan], rtol=1e-6)


def test_a_named_label_brings_its_standard_deviation(tmp_path: Path) -> None:
    path = write(tmp_path, "gene,growth,growth_std,growth_p\nYAL001C,0.8,0.1,0.01\n")
    built = genotypes(path, labels={"fitness": "growth"})
    assert {name: float(v[0]) for name, v in built.labels.items()} == pytest.approx(
        {"fitness": 0.8, "fitness_std": 0.1, "fitness_p": 0.01}
    )


def test_unknown_genes_leave_their_rows_out_and_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "gene1,gene2,fitness\nYAL001C,NEW1,1\nNEW1,NEW2,1\nYAL001C,YAL002W,0.5\n")
    resolved = resolve_genotypes([read_genotype_table(path)], NAMES)
    assert resolved.unresolved == {"screen.tsv": {"NEW1": 2, "NEW2": 1}}
    assert len(resolved.genotypes) == 1
    assert resolved.summaries == (
        "genotypes: 3 rows of screen.tsv; 2 with unknown genes left out; 1 double deletions",
    )


def test_only_unknown_genes_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row is left; expected at least one genotype whose genes"):
        genotypes(write(tmp_path, "gene,fitness\nNEW1,1\n"))


def test_equal_duplicates_merge_whatever_the_order_and_the_name(tmp_path: Path) -> None:
    path = write(tmp_path, "gene1,gene2,fitness\nYAL001C,YAL002W,0.5\nVPS8,TFC3,0.5\n")
    built = genotypes(path)
    assert len(built) == 1


CONFLICT = (
    "gene1,gene2,fitness,fitness_std,fitness_p\n"
    "YAL001C,YAL002W,0.5,0.3,0.01\nYAL003W,,1,,\nVPS8,TFC3,0.7,0.4,0.20\n"
)


def test_conflicting_duplicates_name_both_lines(tmp_path: Path) -> None:
    message = "screen.tsv, lines 2 and 4: the same genotype with different values of 'fitness' (0.5 and 0.7)"
    with pytest.raises(DataError, match=re.escape(message)):
        genotypes(write(tmp_path, CONFLICT))


def test_conflicting_duplicates_of_two_files_name_both(tmp_path: Path) -> None:
    one = read_genotype_table(write(tmp_path, "gene,fitness\nYAL001C,0.5\n", "one.tsv"))
    two = read_genotype_table(write(tmp_path, "gene,fitness\nYAL002W,1\nTFC3,0.6\n", "two.tsv"))
    with pytest.raises(DataError, match=r"one\.tsv, line 2 and .*two\.tsv, line 3: the same genotype"):
        resolve_genotypes([one, two], NAMES)


def test_labels_of_two_files_join(tmp_path: Path) -> None:
    one = read_genotype_table(write(tmp_path, "gene1,gene2,fitness\nYAL001C,YAL002W,0.5\n", "one.tsv"))
    two = read_genotype_table(write(tmp_path, "gene1,gene2,lethal\nVPS8,TFC3,0\nEFB1,,1\n", "two.tsv"))
    built = resolve_genotypes([one, two], NAMES).genotypes
    assert len(built) == 2
    np.testing.assert_allclose(built.labels["fitness"], [0.5, np.nan])
    assert built.labels["lethal"].tolist() == [0, 1]


def test_duplicates_can_be_averaged(tmp_path: Path) -> None:
    table = read_genotype_table(write(tmp_path, CONFLICT), duplicates="mean")
    resolved = resolve_genotypes([table], NAMES)
    labels = resolved.genotypes.labels
    assert len(resolved.genotypes) == 2
    assert labels["fitness"].tolist() == pytest.approx([0.6, 1.0])
    # The root mean square of 0.3 and 0.4, and the larger p-value.
    assert labels["fitness_std"][0] == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
    assert labels["fitness_p"][0] == pytest.approx(0.2)
    assert np.isnan(labels["fitness_std"][1])
    assert resolved.notes == ("screen.tsv: 1 genotypes measured more than once were averaged",)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "gen,fitness\nYAL001C,1\n",
            {},
            "no column 'gene1' or 'gene'; expected gene1, gene2 and gene3, found the columns 'gen'",
        ),
        (
            "gene1,growth\nYAL001C,0.5\n",
            {},
            "no label; expected a column 'fitness', 'gene_interaction' or one",
        ),
        (
            "gene1,fitness\nYAL001C,0.5\nYAL002W,NaN?\n",
            {},
            "line 3, column 'fitness': expected a number, got 'NaN?'",
        ),
        ("gene1,fitness\nYAL001C,0.5\nYAL002W,inf\n", {}, "line 3, column 'fitness': the value is infinite"),
        (
            "gene1,fitness\nYAL001C,0.5\nYAL002W,low\n",
            {},
            "line 3, column 'fitness': expected a number, got 'low'",
        ),
        ("gene1,gene2,fitness\n,,0.5\n", {}, "line 2: expected 1 to 3 deleted genes, got none"),
        ("gene1,gene2,fitness\nYAL001C,TFC3,0.5\n", {}, "line 2: the same gene is deleted twice"),
        (
            "gene1,gene2,order,fitness\nYAL001C,,2,1\n",
            {},
            "column 'order': says 2 deleted genes, but the row names 1",
        ),
        (
            "gene1,sick\nYAL001C,0\nYAL002W,2\n",
            {"binary": ["sick"]},
            "line 3, column 'sick': expected 0 or 1 (or yes and no, true and false), got '2'",
        ),
        (
            "gene1,sick\nYAL001C,0\n",
            {"binary": ["sik"]},
            "no column 'sik'; found the columns 'gene1', 'sick'. Did you",
        ),
        ("gene1,sick\nYAL001C,0\n", {"labels": {"fitness": "smf"}}, "no column 'smf'; found the columns"),
        ("gene1,fitness\nYAL001C,0,5\n", {}, "line 2: more fields than the 2 columns 'gene1', 'fitness'"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, options: dict[str, object], message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        genotypes(path, **options)
    assert str(error.value).startswith(str(path))
