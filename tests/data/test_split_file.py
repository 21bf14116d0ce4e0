import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gisearch.config import build
from gisearch.data.config import DataConfig, TablesData, started_in
from gisearch.data.dataset import Dataset
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.load import load_dataset
from gisearch.data.split_file import read_split, write_split
from gisearch.data.splits import PARTS, SplitConfig, split_genotypes
from gisearch.errors import DataError

NAMES = GeneNames(("YA", "YB", "YC", "YD", "YE"), ("A", "B", "C", "D", "E"))
ROWS = [[0], [0, 1], [1, 2], [0, 1, 2], [2, 3], [3, 4], [0, 4]]
TINY = {"source": "demo", "cell": {"size": "tiny"}}


@pytest.fixture
def genotypes() -> Genotypes:
    return Genotypes.build(ROWS, {"fitness": np.arange(7.0)}, num_genes=5)


def read(path: Path, genotypes: Genotypes, rows: list[int] | None = None) -> tuple[list[int], list[str]]:
    eligible = np.array(range(len(genotypes)) if rows is None else rows)
    part, notes = read_split(path, NAMES, genotypes, eligible, "fitness")
    return part.tolist(), notes


def load(**values: Any) -> Dataset:
    return load_dataset(build(DataConfig, values, "data"), use_cache=False)  # type: ignore[arg-type]


def test_a_table_says_the_part_of_every_genotype(tmp_path: Path, genotypes: Genotypes) -> None:
    path = tmp_path / "split.tsv"
    path.write_text(
        "A title\nGene 1\tgene_2\tgene3\tPart\tfold\nA\t\t\ttrain\t1\nyb\tA\tNA\tVAL\t1\nC\tYB\t\ttest\t1\n"
        "c\tb\ta\t\t1\nD\tE\t\ttrain\t2\nC\tB\tNA\ttest\t2\nA\tC\t\ttest\t2\n"
    )
    part, notes = read(path, genotypes)
    assert part == [0, 1, 2, -1, -1, 0, -1]
    assert notes == [
        "split split.tsv: 2 train, 1 val, 1 test",
        "split split.tsv: 3 genotypes that measure fitness have no part there",
        "split split.tsv: 1 of its 5 genotypes are left out: not measured for fitness, or not among "
        "data.orders",
        "split split.tsv: columns not used: fold",
    ]
    # Only eligible genotypes have parts.
    assert read(path, genotypes, [0, 1, 2])[0] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene1,gene2\nA,B\n", "no column 'part' or 'split'; found the columns 'gene1', 'gene2'"),
        ("a,part\nA,train\n", "line 1: no column 'gene1' or 'gene'; expected gene1, gene2 and gene3"),
        ("gene1,part\n", "the split has no rows"),
        (
            "gene1,part\nA,train\nB,tests\n",
            "line 3, column 'part': expected one of train, val, test, or nothing, got 'tests'. Did you mean "
            "'test'?",
        ),
        ("gene1,gene2,part\nA,,train\nA,YF,val\n", "line 3: unknown gene 'YF'."),
        (
            "gene1,gene2,part\nA,,train\nA,YA,val\n",
            "line 3: the same gene is deleted twice: 'A' as the standard",
        ),
        ("gene1,gene2,part\nA,,train\n,,val\n", "line 3: expected 1 to 3 deleted genes, got none"),
        (
            "gene1,gene2,gene3,gene4,part\nA,B,C,,train\nA,B,C,D,val\n",
            "line 3, column 'gene4': 'D' is one deleted gene more than the 3",
        ),
        (
            "gene1,gene2,part\nA,B,train\nC,,val\nB,A,test\n",
            "lines 2 and 4: the genotype YA, YB is in train and in test; expected every genotype in one part",
        ),
        ("gene1,part\nA,train\nA,\n", "lines 2 and 3: the genotype YA is in train and in no part"),
        (
            "gene1,gene2,part\nA,,train\nA,B,test\nB,,val\n",
            "the val part has no genotype that measures 'fitness' (1 of the file's 3 genotypes say val)",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, genotypes: Genotypes, text: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read(path, genotypes)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["split.csv", "split.tsv.gz", "split.txt"])
def test_what_is_written_is_read_back(tmp_path: Path, genotypes: Genotypes, name: str) -> None:
    rows = np.array([0, 1, 2, 3, 4, 6])
    split = split_genotypes(genotypes, rows, SplitConfig(val=0.3, test=0.3), 0)
    write_split(tmp_path / name, NAMES, genotypes, split)
    part, _ = read(tmp_path / name, genotypes)
    for i, one in enumerate(PARTS):
        np.testing.assert_array_equal(np.flatnonzero(np.array(part) == i), split.part(one))
    if name.endswith(".gz"):
        text = gzip.decompress((tmp_path / name).read_bytes()).decode()
        assert text.splitlines()[0] == "gene1\tgene2\tgene3\tpart"
        assert len(text.splitlines()) == 7


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"split": {"strategy": "unseen_genes"}, "target": "fitness"},
        {"labels": {"low": {"score_below": -0.05}}, "target": "low", "seed": 3},
    ],
)
def test_a_written_split_is_the_same_whatever_the_seed(tmp_path: Path, own: dict[str, Any]) -> None:
    data = load(**TINY, **own)
    path = tmp_path / "split.csv"
    write_split(path, data.cell.names, data.genotypes, data.split)
    other = {**own, "seed": 77, "split": {"strategy": "file", "path": str(path)}}
    pinned = load(**TINY, **other)
    assert pinned.split.digest() == data.split.digest()
    assert pinned.digest() == data.digest()
    assert pinned.split.dropped == data.split.dropped
    np.testing.assert_array_equal(pinned.split.unseen, data.split.unseen)
    assert load(**TINY, **{**own, "seed": 77}).split.digest() != data.split.digest()
    assert f"split split.csv: {len(data.split.train)} train" in " ".join(pinned.report.notes)


def test_left_out_genotypes_are_dropped_and_counted(tmp_path: Path) -> None:
    data = load(**TINY)
    path = tmp_path / "split.csv"
    write_split(path, data.cell.names, data.genotypes, data.split)
    lines = path.read_text().splitlines()
    gone = next(i for i, line in enumerate(lines) if line.endswith("train"))
    path.write_text("\n".join(lines[:gone] + lines[gone + 1 :]) + "\n")
    pinned = load(**TINY, split={"strategy": "file", "path": str(path)})
    assert pinned.split.dropped == 1
    assert len(pinned.split.train) == len(data.split.train) - 1
    assert pinned.digest() != data.digest()
    with pytest.raises(DataError, match=r"no genotype that measures 'gene_interaction' \(\d+ of"):
        load(**TINY, split={"strategy": "file", "path": str(path)}, orders=[1, 2], max_p=1e-30)


def test_one_class_in_a_part_is_an_error(tmp_path: Path) -> None:
    data = load(**TINY, target="strong_negative")
    path = tmp_path / "split.csv"
    write_split(path, data.cell.names, data.genotypes, data.split)
    # Whatever is 1 among the validating genotypes leaves the part.
    table, names = data.genotypes.padded(), (*data.cell.names.systematic, "")
    ones = [row for row in data.split.val.tolist() if data.genotypes.labels["strong_negative"][row]]
    gone = {",".join([*(names[gene] for gene in table[row]), "val"]) for row in ones}
    assert 0 < len(ones) < len(data.split.val)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if line not in gone) + "\n")
    with pytest.raises(DataError, match="the val part holds only one class of 'strong_negative'"):
        load(**TINY, target="strong_negative", split={"strategy": "file", "path": str(path)})


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"theirs\.csv.* Relative paths start at"):
        load(**TINY, split={"strategy": "file", "path": "theirs.csv"})


def test_it_is_found_where_a_sweep_was_started(tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text("gene1,part\n")
    config = TablesData(split=SplitConfig(strategy="file", path="theirs.csv"))
    assert started_in(config, tmp_path).split.path == str(tmp_path / "theirs.csv")
    assert started_in(TablesData(), tmp_path).split == SplitConfig()


def test_parts_are_not_drawn_for_a_file(genotypes: Genotypes) -> None:
    with pytest.raises(DataError, match=r"the parts are read from data\.split\.path, not drawn"):
        split_genotypes(genotypes, np.arange(7), SplitConfig(strategy="file", path="x"), 0)
