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


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "nan", "None", "null", "-", ".", "0", " ", "#N/A"])
def test_no_third_gene_is_none_however_it_is_spelt(tmp_path: Path, missing: str) -> None:
    """With NA as a gene, doubles became triples or were left out."""
    text = f"gene1,gene2,gene3,fitness\nYAL001C,YAL002W,{missing},0.5\nYAL001C,YAL003W,YAL002W,0.3\n"
    table = read_genotype_table(write(tmp_path, text))
    built = resolve_genotypes([table], NAMES).genotypes
    assert [built.genes_of(i).tolist() for i in range(2)] == [[0, 1], [0, 1, 2]]
    assert set(table.vocabulary) == {"YAL001C", "YAL002W", "YAL003W"}
    said = f"screen.tsv: 1 gene cells of {missing!r} read as empty"
    assert table.notes == ((said,) if missing.strip() else ())


def test_zero_is_a_gene_where_all_names_are_numbers(tmp_path: Path) -> None:
    table = read_genotype_table(write(tmp_path, "gene1,gene2,fitness\n0,1,0.5\n2,0,0.3\n"))
    built = resolve_genotypes([table], GeneNames(("0", "1", "2"))).genotypes
    assert [built.genes_of(i).tolist() for i in range(2)] == [[0, 1], [0, 2]]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("True", "False", "True"), [1, 0, 1]),
        (("yes", "No", ""), [1, 0, np.nan]),
        (("1", "NA", "0"), [1, np.nan, 0]),
        (("1", " ", "0"), [1, np.nan, 0]),
        (("1.0", "0.0", "None"), [1, 0, np.nan]),
        (("TRUE", "0", "f"), [1, 0, 0]),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_yes_and_no_are_binary_however_they_are_spelt(
    tmp_path: Path, cells: tuple[str, ...], expected: list[float], named: bool
) -> None:
    rows = [f"{gene},{cell}" for gene, cell in zip(NAMES.systematic, cells, strict=True)]
    table = read_genotype_table(
        write(tmp_path, "\n".join(["gene,lethal", *rows]) + "\n"), binary=["lethal"] if named else None
    )
    np.testing.assert_array_equal(table.labels["lethal"], expected)
    assert table.binary == {"lethal"}
    words = "column 'lethal': yes and true are 1, no and false are 0"
    assert any(words in note for note in table.notes) == (
        not set(cells) <= {"1", "0", "1.0", "0.0", "NA", " ", "None"}
    )


def test_a_column_of_nothing_and_one_of_words_are_named(tmp_path: Path) -> None:
    text = "gene,fitness,a,b\nYAL001C,0.5,NA,high\nYAL002W,0.4,,low\n"
    table = read_genotype_table(write(tmp_path, text))
    assert set(table.labels) == {"fitness"}
    assert table.notes == ("screen.tsv: columns not used: a, b",)


def test_a_table_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path, "YAL001C,YAL002W,0.5\nYAL001C,YAL003W,0.3\n")
    built = genotypes(path, gene_columns=["1", "2"], labels={"fitness": "3"}, has_header=False)
    assert [built.genes_of(i).tolist() for i in range(2)] == [[0, 1], [0, 2]]
    np.testing.assert_allclose(built.labels["fitness"], [0.5, 0.3], rtol=1e-6)
    message = "screen.tsv, line 1: 'YAL001C' looks like data, not like a column's name; set header: false"
    with pytest.raises(DataError, match=re.escape(message)):
        genotypes(path, gene_columns=["YAL001C", "YAL002W"], labels={"fitness": "0.5"})


def test_a_fourth_gene_is_refused(tmp_path: Path) -> None:
    text = "gene1,gene2,gene3,gene_4,fitness\nYAL001C,,,NA,1\nYAL001C,YAL002W,YAL003W,YAL005C,0.5\n"
    message = "screen.tsv, line 3, column 'gene_4': 'YAL005C' is one deleted gene more than the 3"
    with pytest.raises(DataError, match=re.escape(message)):
        genotypes(write(tmp_path, text))
    with pytest.raises(DataError, match=re.escape(message)):
        genotypes(tmp_path / "screen.tsv", gene_columns=["gene1", "gene2", "gene3"])


def test_a_single_deletion_has_no_interaction(tmp_path: Path) -> None:
    text = (
        "gene1,gene2,fitness,gene_interaction,gene_interaction_p\n"
        "YAL001C,,0.5,-0.2,0.01\nYAL001C,YAL002W,0.4,-0.1,0.02\n"
    )
    resolved = resolve_genotypes([read_genotype_table(write(tmp_path, text))], NAMES)
    labels = resolved.genotypes.labels
    np.testing.assert_allclose(labels["gene_interaction"], [np.nan, -0.1], rtol=1e-6)
    np.testing.assert_allclose(labels["gene_interaction_p"], [np.nan, 0.02], rtol=1e-6)
    np.testing.assert_allclose(labels["fitness"], [0.5, 0.4], rtol=1e-6)
    assert resolved.notes == (
        "screen.tsv: 1 rows delete a single gene, whose gene_interaction is none and was left out",
    )


def test_repeats_over_files_that_all_average_are_averaged(tmp_path: Path) -> None:
    """Every row counts alike, whichever file it is in: 0.2, 0.4 and 0.9 make 0.5."""
    one = write(tmp_path, "gene1,gene2,fitness\nYAL001C,YAL002W,0.2\nVPS8,TFC3,0.4\n", "one.tsv")
    two = write(tmp_path, "gene1,gene2,fitness,lethal\nYAL001C,YAL002W,0.9,1\nEFB1,,1,0\n", "two.tsv")
    tables = [read_genotype_table(path, duplicates="mean") for path in (one, two)]
    resolved = resolve_genotypes(tables, NAMES)
    assert [resolved.genotypes.genes_of(i).tolist() for i in range(2)] == [[0, 1], [2]]
    assert resolved.genotypes.labels["fitness"].tolist() == pytest.approx([0.5, 1.0])
    assert resolved.genotypes.labels["lethal"].tolist() == [1, 0]
    assert resolved.notes == ("one.tsv and two.tsv: 1 genotypes measured more than once were averaged",)
    strict = read_genotype_table(two)
    message = "values of 'fitness' (0.3 and 0.9); keep one, or set duplicates: mean for every file"
    with pytest.raises(DataError, match=re.escape(message)):
        resolve_genotypes([tables[0], strict], NAMES)


def test_classes_that_contradict_each_other_average_to_none(tmp_path: Path) -> None:
    text = "gene1,gene2,lethal\nYAL001C,YAL002W,0\nVPS8,TFC3,1\nEFB1,,1\nEFB1,,1\n"
    table = read_genotype_table(write(tmp_path, text), duplicates="mean")
    labels = resolve_genotypes([table], NAMES).genotypes.labels
    np.testing.assert_array_equal(labels["lethal"], [np.nan, 1])


def test_what_is_left_out_is_counted_with_its_first_names(tmp_path: Path) -> None:
    path = write(tmp_path, "gene1,gene2,fitness\nYAL001C,N1,1\nN2,N3,1\nN4,TFC3,2\nYAL001C,YAL002W,0.5\n")
    (lost,) = resolve_genotypes([read_genotype_table(path)], NAMES).left_out
    assert str(lost) == "3 of 4 rows of screen.tsv (75.0 %)"
    assert lost.names == ("N1", "N2", "N4") or len(lost.names) == 3
    strains = write(tmp_path, "gene1,gene2,fitness\nYAL001C_dma1,YAL002W_dma2,1\n")
    with pytest.raises(DataError) as error:
        genotypes(strains)
    assert "screen.tsv, such as 'YAL001C_DMA1', 'YAL002W_DMA2' ('YAL001C_DMA1' looks like a strain" in str(
        error.value
    )


def test_a_retired_name_that_is_an_alias_is_named(tmp_path: Path) -> None:
    names = GeneNames(("YAL004W", "YAL005C"), aliases={"YAL003W": ("YAL004W",)})
    table = read_genotype_table(write(tmp_path, "gene1,gene2,fitness\nYAL003W,YAL004W,0.5\n"))
    message = (
        "line 2: the same gene is deleted twice: 'YAL003W' as an alias and 'YAL004W' as the systematic name "
        "are both YAL004W; expected 1 to 3 different genes"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        resolve_genotypes([table], names)


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
