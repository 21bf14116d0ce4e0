from __future__ import annotations

import csv
import gzip
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from gisearch import predict, train
from gisearch.command_line import run
from gisearch.data.dataset import Dataset


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a training run in it."""
    folder = tmp_path_factory.mktemp("trained")
    settings = ["data=demo_tiny", "model.hidden_dim=16", "trainer.max_epochs=3", "name=first"]
    assert run(train.main, [*settings, f"results.dir={folder}"]) == 0
    return folder


@pytest.fixture
def table(tmp_path: Path, tiny_dataset: Dataset) -> Path:
    names = tiny_dataset.cell.names
    path = tmp_path / "genotypes.csv"
    rows = [
        [names.label(3), names.systematic[5], ""],
        [names.systematic[5], names.label(3), ""],
        [names.label(9), "", ""],
    ]
    path.write_text("\n".join(["gene1,gene2,gene3", *map(",".join, rows), ""]))
    return path


def scores(path: Path) -> list[float]:
    with path.open(newline="") as file:
        return [float(row["score"]) for row in csv.DictReader(file)]


def test_scores_do_not_depend_on_names_order_or_company(trained: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    assert run(predict.main, ["first", str(table), "-o", str(out), "--results-dir", str(trained)]) == 0
    found = scores(out)
    assert found[0] == pytest.approx(found[1], rel=1e-5, abs=1e-7)
    assert found[0] != pytest.approx(found[2])
    assert np.isfinite(found).all()
    header, _, _, last = table.read_text().splitlines()
    table.write_text(f"{header}\n{last}\n")
    assert run(predict.main, [str(trained / "first"), str(table), "-o", str(out)]) == 0
    assert scores(out) == [pytest.approx(found[2], rel=1e-5, abs=1e-7)]


def test_standard_output(trained: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(predict.main, [str(trained / "first"), str(table)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("gene1,gene2,gene3,score\n")
    assert len(captured.out.splitlines()) == 4
    assert captured.err == ""


def test_one_column_of_genes_never_passes_for_a_pair(
    trained: Path, tmp_path: Path, tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """gene_2 and partner were skipped: the score of a single deletion was given for a pair."""
    names, path = tiny_dataset.cell.names, tmp_path / "g.csv"
    found = []
    for header in ("gene1,gene2", "gene1,gene_2", "Gene 1,partner"):
        path.write_text(f"{header}\n{names.label(3)},{names.label(5)}\n")
        assert run(predict.main, [str(trained / "first"), str(path), "-o", str(tmp_path / "s.csv.gz")]) == 0
        with gzip.open(tmp_path / "s.csv.gz", "rt", newline="") as file:
            found += [row["score"] for row in csv.DictReader(file)]
    assert len(set(found)) == 1
    capsys.readouterr()
    path.write_text(f"gene1,second\n{names.label(3)},{names.label(5)}\n")
    assert run(predict.main, [str(trained / "first"), str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "deleted genes read from 'gene1'; not used: 'second'\n"
    assert found[0] not in captured.out
    path.write_text(f"gene1,gene1\n{names.label(3)},{names.label(5)}\n")
    assert run(predict.main, [str(trained / "first"), str(path)]) == 2
    assert "two columns are called 'gene1' and 'gene1'; rename or remove one." in capsys.readouterr().err


def test_bad_input(trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, where = tmp_path / "scores.csv", ["--results-dir", str(trained)]

    def failing(*arguments: str) -> str:
        assert run(predict.main, [*arguments, "-o", str(out), *where]) == 2
        assert not out.exists()
        return capsys.readouterr().err

    assert failing("frist", str(table)).endswith("(it has: first). Did you mean 'first'?\n")
    assert failing("first", "none.csv") == (
        "error: none.csv: no such file; expected a genotype table with a column gene1.\n"
    )
    table.write_text("gene1\nnonsense\n")
    assert failing("first", str(table)).startswith(f"error: {table}, line 2: unknown gene 'nonsense'.")
    (trained / "swept" / "trials" / "t0001").mkdir(parents=True)
    message = failing("swept/t0002", str(table))
    assert message == "error: the sweep 'swept' has no trial 't0002'. Did you mean 't0001'?\n"
    message = failing("swept/t0001", str(table))
    assert "holds no trained model (best.pt); checkpoints of losing trials are removed" in message


def test_screening_finds_the_extremes_of_predicting_everything(
    trained: Path, tmp_path: Path, tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    names, where = tiny_dataset.cell.names, ["--results-dir", str(trained)]
    everything, out = tmp_path / "all.csv", tmp_path / "top.csv"
    pairs = [(names.label(a), names.label(b)) for a, b in combinations(range(40), 2)]
    everything.write_text("\n".join(["gene1,gene2", *map(",".join, pairs), ""]))
    assert run(predict.main, ["first", str(everything), "-o", str(tmp_path / "scores.csv"), *where]) == 0
    value = dict(zip(pairs, scores(tmp_path / "scores.csv"), strict=True))
    genotypes = tiny_dataset.genotypes
    measured = {tuple(names.label(g) for g in genotypes.genes_of(i)) for i in range(len(genotypes))}
    capsys.readouterr()

    assert run(predict.main, ["first", "--all-pairs", "--top", "7", "-o", str(out), *where]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("630 candidates, 150 measured ones left out; about 0:00:0")
    assert said[-1] == (f"7 highest and 7 lowest of 630 candidates, scored by {trained / 'first'}: {out}")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = sorted((p for p in pairs if p not in measured), key=lambda p: -value[p])
    assert [(row["gene1"], row["gene2"]) for row in rows[:7]] == expected[:7]
    assert [(row["gene1"], row["gene2"]) for row in rows[7:]] == expected[:-8:-1]
    assert [row["end"] for row in rows] == ["top"] * 7 + ["bottom"] * 7
    for row in rows:
        assert float(row["score"]) == pytest.approx(value[row["gene1"], row["gene2"]], rel=1e-4, abs=1e-6)
        assert [names.index_of(row["systematic1"])] == [names.index_of(row["gene1"])]

    assert run(predict.main, ["first", "--all-pairs", "--include-measured", "--top", "780", *where]) == 0
    captured = capsys.readouterr()
    table = list(csv.DictReader(captured.out.splitlines()))
    assert {(r["gene1"], r["gene2"]) for r in table if r["measured"]} == measured & set(pairs)
    assert captured.err.startswith("780 candidates; about ")


def test_triples_of_a_list(trained: Path, tmp_path: Path, tiny_dataset: Dataset) -> None:
    names, out = tiny_dataset.cell.names, tmp_path / "triples.tsv"
    (tmp_path / "genes.txt").write_text("# five\n" + "\n".join(names.label(i) for i in (30, 4, 8, 2, 39)))
    command = ["first", "--all-triples-of", str(tmp_path / "genes.txt"), "--include-measured"]
    assert run(predict.main, [*command, "-o", str(out), "--results-dir", str(trained), "--workers", "1"]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = {tuple(sorted(names.index_of(row[f"gene{i}"]) for i in (1, 2, 3))) for row in rows[:10]}
    assert found == set(combinations((2, 4, 8, 30, 39), 3))
    assert len(rows) == 20


def test_only_genes_that_were_trained_on(
    trained: Path, tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = set(tiny_dataset.genotypes.subset(tiny_dataset.split.train).genes.tolist())
    command = ["first", "--all-pairs", "--only-seen", "--include-measured", "--results-dir", str(trained)]
    assert run(predict.main, command) == 0
    captured = capsys.readouterr()
    rows = list(csv.DictReader(captured.out.splitlines()))
    assert 2 <= len(seen) < 40
    assert len(rows) == len(seen) * (len(seen) - 1)
    assert {row["unseen"] for row in rows} == {"0"}
    assert captured.err.startswith(f"{40 - len(seen)} of 40 genes occur in no training genotype\n")


def test_bad_screening(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genes, out = tmp_path / "genes.txt", tmp_path / "out.csv"
    genes.write_text("YAL001C\nYAL0O2W\n")

    def failing(*arguments: str) -> str:
        assert run(predict.main, ["first", *arguments, "-o", str(out), "--results-dir", str(trained)]) == 2
        assert not out.exists()
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    choices = "a table of genotypes, --all-pairs, --all-pairs-of, --all-triples-of"
    assert failing() == f"error: expected one of {choices}; got none.\n"
    assert failing("--all-pairs", "--all-triples-of", "x") == (
        f"error: expected one of {choices}; got --all-pairs and --all-triples-of.\n"
    )
    assert failing("t.csv", "--top", "5") == (
        "error: --top belongs to --all-pairs, --all-pairs-of or --all-triples-of.\n"
    )
    assert failing("--all-pairs", "--top", "0") == "error: --top: expected a number of at least 1, got 0.\n"
    assert failing("--all-pairs", "--workers", "-1") == (
        "error: --workers: expected a number of at least 1, got -1.\n"
    )
    assert failing("--all-pairs-of", str(genes)).startswith(
        f"error: {genes}, line 2: unknown gene 'YAL0O2W'. Did you mean 'YAL002W'?"
    )
    genes.write_text("YAL001C\nYAL002W\n")
    assert failing("--all-triples-of", str(genes)) == (
        f"error: {genes}: expected at least 3 genes for triples, got 2.\n"
    )


def test_where_nothing_can_be_written_nothing_is_scored(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none" / "out.csv"
    assert run(predict.main, [str(trained / "first"), "--all-pairs", "-o", str(out)]) == 2
    assert capsys.readouterr().err == f"error: --output: no folder {out.parent} to write out.csv in.\n"


def test_an_interrupted_screening_writes_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gisearch.search import screening_progress

    out = tmp_path / "out.csv"
    out.write_text("earlier")

    def interrupt(progress: object, done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(screening_progress.ScreeningProgress, "__call__", interrupt)
    assert run(predict.main, [str(trained / "first"), "--all-pairs", "-o", str(out)]) == 130
    assert capsys.readouterr().err.endswith(
        "stopped after 780 of 780 candidates: nothing was written.\ninterrupted\n"
    )
    assert out.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
