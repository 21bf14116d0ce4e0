from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gisearch import report
from gisearch.command_line import run
from gisearch.errors import ConfigError
from gisearch.search.compilation import compile_space
from gisearch.search.config import SearchConfig
from gisearch.search.ledger import Ledger, Outcome
from gisearch.search.study import open_study
from gisearch.training.objective import Objective


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished sweep of four trials, in the working directory's results folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "study"
    folder.mkdir(parents=True)
    space, _ = compile_space(
        {"model.depth": [1, 2], "lr": {"float": [0, 1]}},
        {"model.depth": 1, "lr": 0.1},
        lambda key, message: ConfigError(message),
    )
    ledger = Ledger(open_study(folder, "study", Objective("val/auroc", "max")), space, SearchConfig(trials=4))
    while (handout := ledger.next()) is not None:
        value = 0.5 + 0.1 * handout.number
        ledger.report(handout.number, 1, value)
        ledger.finish(handout.number, Outcome("finished", value, None, {"epochs": 1, "seconds": 1.0}))
        config = folder / "trials" / f"t{handout.number:04d}" / "config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(yaml.safe_dump({"lr": handout.assignment["lr"]}))
    facts = {"name": "study", "metric": "val/auroc", "tracking": {"uri": "sqlite:///mlflow.db"}}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(facts))
    return folder


def test_json_is_one_object_and_nothing_else(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report.main, ["study", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert not (sweep / "report.html").exists()
    assert not (sweep / "plots").exists()
    assert found["best"]["trial_id"] == "t0003"
    assert found["best"]["config"] == {"lr": found["trials"][0]["params"]["lr"]}
    assert found["best"]["mlflow_run_id"] is None
    assert [row["trial_id"] for row in found["trials"]] == ["t0003", "t0002", "t0001", "t0000"]


def test_text_and_figures(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report.main, [str(sweep), "--top", "2"]) == 0
    out = capsys.readouterr().out
    assert "study: best trials by val/auroc" in out
    assert "4 trials: 4 finished." in out
    assert "Best: t0003 with val/auroc = 0.8000\n" in out
    assert "t0001" not in out.partition("4 trials")[0]
    assert "Browse: python -m gisearch.ui study\n" in out
    assert "Which choices mattered" in out
    figures, _, page = out.partition("Figures:\n")[2].partition("\n\nReport written: ")
    drawn = [Path(line.strip()) for line in figures.splitlines()]
    assert page == f"{sweep / 'report.html'}\n"
    assert (sweep / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert {path.name for path in drawn} >= {"learning_curves.png", "parallel_coordinates.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_the_page_goes_where_it_is_told_to(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report.main, ["study", "--output", "mail/page.html"]) == 0
    assert capsys.readouterr().out.endswith("Report written: mail/page.html\n")
    assert "<title>study: report of a sweep</title>" in Path("mail/page.html").read_text()
    assert not (sweep / "report.html").exists()
    assert run(report.main, ["study", "--output", "mail"]) == 2
    assert capsys.readouterr().err.startswith("error: --output: mail is a folder; expected a file")
    with pytest.raises(SystemExit):
        report.main(["study", "--json", "--output", "page.html"])


def test_the_command_that_it_prints_finds_the_sweep(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(*arguments: str) -> str:
        assert run(report.main, [*arguments, "--output", str(tmp_path / "page.html")]) == 0
        return capsys.readouterr().out.partition("Report: python -m gisearch.report ")[2].splitlines()[0]

    assert printed("study") == "study"
    # A results folder elsewhere of the same name is not the one that a name is looked up in.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert printed("study", "--results-dir", "../results") == "../results/study"


def test_bad_input(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report.main, ["studi"]) == 2
    expected = "error: no results called 'studi' in results/ (it has: study). Did you mean 'study'?\n"
    assert capsys.readouterr().err == expected
    (sweep / "sweep.yaml").unlink()
    assert run(report.main, ["study"]) == 2
    assert capsys.readouterr().err == "error: results/study holds no sweep: it has no sweep.yaml.\n"


def test_predictions_with_a_spread_are_drawn_with_their_coverage(sweep: Path) -> None:
    best = sweep / "best"
    best.mkdir(exist_ok=True)
    rows = [f"{0.1 * i:.2f},{0.1 * i + 0.02:.2f}," for i in range(12)]
    table = best / "predictions.csv"
    table.write_text("\n".join(["measured,score,std", *rows]) + "\n")
    assert run(report.main, [str(sweep)]) == 0
    drawn = {path.stem for path in (sweep / "plots").iterdir()}
    assert "predicted_against_true" in drawn
    assert "interval_coverage" not in drawn, "without a spread there are no intervals"
    table.write_text("\n".join(["measured,score,std", *(f"{row}0.05" for row in rows)]) + "\n")
    assert run(report.main, [str(sweep)]) == 0
    assert "interval_coverage" in {path.stem for path in (sweep / "plots").iterdir()}


READ_ONLY = """
mount --bind results results && mount -o remount,bind,ro results || exit 77
python=$1; shift
"$python" -m gisearch.report study "$@"
"""


@pytest.mark.slow
@pytest.mark.parametrize("output", [None, "page.html"])
def test_results_that_are_read_only(output: str | None, sweep: Path) -> None:
    options = [] if output is None else ["--output", output]
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", READ_ONLY, "bash", sys.executable, *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(report.__file__).parents[1])},
    )
    if done.returncode in (77, 1) and "mount" in done.stderr + done.stdout:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "study: best trials by val/auroc" in done.stdout
    assert sorted(path.name for path in sweep.iterdir()) == ["study.journal", "sweep.yaml", "trials"]
    if output is None:
        assert done.stdout.endswith(
            "No page was written: results/study is read-only here; --output FILE writes it elsewhere.\n"
        )
    else:
        assert Path(output).read_text().startswith("<!DOCTYPE html>")
