from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from gisearch import train
from gisearch.command_line import run

TINY = ["data=demo_tiny", "model.hidden_dim=16", "trainer.max_epochs=3"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def best_of(out: str) -> str:
    found = re.search(r"^best val/pearson = (\S+ at epoch \d) of 3, ", out, re.MULTILINE)
    assert found is not None, out
    return found[1]


def test_trains_and_writes_what_it_takes_to_do_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(train.main, [*TINY, "name=first"]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^dango_gi with [\d,]+ parameters, \d+ training and \d+ validation genotypes of demo; ", out
    )
    assert len(re.findall(r"^epoch +\d/3  train/loss \d+\.\d{4}  val/pearson ", out, re.MULTILINE)) == 3
    assert "noise ceiling of the data: 0." in out
    assert (
        "Score genotypes with it: python -m gisearch.predict results/first genotypes.csv -o scores.csv" in out
    )
    assert {"best.pt", "last.pt", "config.yaml"} <= {
        p.name for p in (tmp_path / "results" / "first").iterdir()
    }
    assert run(train.main, ["--config", "results/first/config.yaml", "name=first"]) == 0
    again = capsys.readouterr().out
    assert best_of(again) == best_of(out)
    assert (tmp_path / "results" / "first-2" / "best.pt").is_file()
    assert run(train.main, ["--config", "results/first/config.yaml", "seed=7", "name=other"]) == 0
    assert best_of(capsys.readouterr().out) != best_of(out)
    assert yaml.safe_load((tmp_path / "results" / "other" / "config.yaml").read_text())["seed"] == 7
    assert run(train.main, ["--resume", "first"]) == 0
    assert best_of(capsys.readouterr().out) == best_of(out)


def test_dry_run_shows_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(train.main, [*TINY, "--dry-run"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["hidden_dim"] == 16
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["model.hiden_dim=3"],
            "unknown key 'model.hiden_dim' on the command line. Did you mean 'hidden_dim'?",
        ),
        (
            ["model=dango", "model.reconstruction.lambdas={physical:0.5}"],
            "model.reconstruction.lambdas: the keys of a mapping are given one by one, as in "
            "+model.reconstruction.lambdas.KEY=VALUE.",
        ),
        (["model=dang"], "model=dang: unknown option; expected one of "),
        (
            ["hidden_dim"],
            "cannot read 'hidden_dim': expected key=value, such as model.hidden_dim=32 or data=demo.",
        ),
        (["--config", "none.yaml"], "no configuration file at none.yaml."),
        (["--resume", "x"], "no results called 'x' in results/ (it has: none)."),
        (["--resume", "x", "seed=3"], "--resume continues a run as it was configured; leave out seed=3"),
        (["trainer.max_epochs=0"], "trainer.max_epochs: expected "),
        (
            [*TINY, "objective.metric=val/auroc"],
            "objective.metric: 'val/auroc' is not measured for the regression target",
        ),
    ],
)
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(train.main, arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_overrides_of_a_file_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(train.main, [*TINY, "--dry-run"]) == 0
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    assert run(train.main, ["--config", "c.yaml", "optimizer.lrr=1"]) == 2
    assert (
        capsys.readouterr().err
        == "error: unknown key 'optimizer.lrr' for c.yaml. Did you mean 'optimizer.lr'?\n"
    )
    (tmp_path / "c.yaml").write_text("model: {name: dango_gi}\n")
    assert run(train.main, ["--config", "c.yaml"]) == 2
    assert capsys.readouterr().err == "error: c.yaml: data: a value is required.\n"


def test_what_was_left_out_is_said_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genes = [f"YAL{i:03d}W" for i in range(20)]
    (tmp_path / "genes.tsv").write_text("\n".join(["systematic_name", *genes]) + "\n")
    (tmp_path / "net.csv").write_text(f"gene1,gene2\n{genes[0]},{genes[1]}\n{genes[0]},OLD1\n")
    rows = [f"{a},{b},{i / 100},x" for i, (a, b) in enumerate(combinations([*genes, "OLD2"], 2))]
    (tmp_path / "screen.csv").write_text("\n".join(["gene1,gene2,gene_interaction,plate", *rows]) + "\n")
    files = [
        "+data.networks.net.path=net.csv",
        "+data.genotypes.screen.path=screen.csv",
        "data.genes=genes.tsv",
    ]
    assert run(train.main, ["model=additive", "data=tables", *files, "trainer.max_epochs=1"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "left out for unknown genes such as 'OLD1', 'OLD2': 1 of 2 rows of network net (50.0 %); "
        "20 of 210 rows of screen.csv (9.5 %)",
        "note: screen.csv: columns not used: plate",
    ]
