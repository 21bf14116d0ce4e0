from __future__ import annotations

import csv
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


def test_bad_input(trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, where = tmp_path / "scores.csv", ["--results-dir", str(trained)]

    def failing(*arguments: str) -> str:
        assert run(predict.main, [*arguments, "-o", str(out), *where]) == 2
        assert not out.exists()
        return capsys.readouterr().err

    assert failing("frist", str(table)).endswith("(it has: first). Did you mean 'first'?\n")
    assert failing("first", "none.csv") == "error: no genotype table at none.csv.\n"
    table.write_text("gene1\nnonsense\n")
    assert failing("first", str(table)).startswith(f"error: {table}, line 2: unknown gene 'nonsense'.")
    (trained / "swept" / "trials" / "t0001").mkdir(parents=True)
    message = failing("swept/t0002", str(table))
    assert message == "error: the sweep 'swept' has no trial 't0002'. Did you mean 't0001'?\n"
    message = failing("swept/t0001", str(table))
    assert "holds no trained model (best.pt); checkpoints of losing trials are removed" in message
