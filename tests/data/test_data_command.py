import dataclasses
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gisearch.command_line import run
from gisearch.data import fetch
from gisearch.data.__main__ import main
from gisearch.data.cache import load_cell

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = "data=demo_tiny"


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GISEARCH_CACHE", str(tmp_path / "cache"))


def test_inspect_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", TINY, "data.split.strategy=unseen_genes", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["genes"] == 40
    assert set(summary["split"]["test"]["by_unseen_genes"]) == {"1"}


def test_inspect_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", TINY]) == 0
    assert "Cell: 40 genes" in capsys.readouterr().out


def test_inspect_shows_what_the_training_part_tells(capsys: pytest.CaptureFixture[str]) -> None:
    derived = ["derived.positive=true", "derived.threshold=0.5", "derived.profile.similarity=raw"]
    assert run(main, ["inspect", TINY, *derived, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    networks = {network["name"]: network for network in summary["networks"]}
    assert list(networks)[3:] == ["derived_positive", "derived_profile"]
    assert networks["derived_positive"]["edges"] > 0
    assert 0 < networks["derived_positive"]["genes"] <= summary["genes"]
    assert networks["derived_profile"]["scores"]


def test_build_writes_a_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", TINY, "-o", str(tmp_path / "cell.npz")]) == 0
    assert "genes: 40 generated" in capsys.readouterr().out
    assert load_cell(tmp_path / "cell.npz")[0].num_genes == 40


def test_build_reads_files_into_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.tsv").write_text("gene1\tgene2\nA\tB\nB\tX\n")
    (tmp_path / "screen.tsv").write_text("gene1\tfitness\nA\t0.5\nB\t0.6\n")
    (tmp_path / "genes.tsv").write_text("systematic_name\nA\nB\n")
    overrides = [
        "data=tables",
        f"data.genes={tmp_path / 'genes.tsv'}",
        f"+data.networks.net={{path: {tmp_path / 'net.tsv'}}}",
        f"+data.genotypes.screen={{path: {tmp_path / 'screen.tsv'}}}",
    ]
    assert main(["build", *overrides]) == 0
    shown = capsys.readouterr().out
    assert "network net: 2 rows of net.tsv; 1 with unknown genes left out; 2 edges" in shown
    assert "unknown gene names in network net: 1 of 1 different names" in shown
    assert len(list((tmp_path / "cache" / "cells").iterdir())) == 1


def test_fetch_lists_licences_and_checksums(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "kuzmin2018: Kuzmin et al., Science 2018" in shown
    assert "licence: CC BY 4.0; no checksum is published" in shown


def test_fetch_without_network_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unreachable = dataclasses.replace(
        fetch.RELEASES["sgd_features"], url="http://127.0.0.1:9/SGD_features.tab"
    )
    monkeypatch.setattr(fetch, "RELEASES", {"sgd_features": unreachable})
    assert run(main, ["fetch", "--to", str(tmp_path / "here")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: cannot fetch sgd_features: no connection to http://127.0.0.1:9/")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=yeast"], "error: data.root: a folder is required that holds genes.tsv"),
        (["data=yeast", "data.root=nowhere"], "error: data.root: no folder 'nowhere'"),
        (["data=yeats"], "Did you mean 'yeast'?"),
        (
            [TINY, "data.target=fitnes"],
            "error: data.target: 'fitnes' is not measured in this data (it has: fitness",
        ),
        ([TINY, "data.sed=1"], "unknown key 'data.sed'"),
        (
            [TINY, "derived.positive=true", "derived.label=fitnes"],
            "error: derived.label: 'fitnes' is not measured in this data (it has: fitness",
        ),
        (["data=tables"], "error: data.networks: at least one file is required"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(main, ["inspect", *overrides]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_the_module_runs_and_its_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from gisearch.data.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'cobra', 'hydra', 'torch', 'rich', 'pooch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "fetch|build|inspect" in done.stdout


def test_python_m_gives_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gisearch.data", "inspect", "data=yeast"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: data.root: a folder is required")
    assert done.stderr.count("\n") == 1


MADE = "+data.labels.negative={score_below: -0.08, p_below: 0.05, zero_if: {p_above: 0.25}}"


def test_inspect_shows_a_made_label(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["inspect", TINY, MADE, "data.target=negative"]) == 0
    shown = capsys.readouterr().out
    assert "Split for negative (binary, searched by val/auroc)" in shown
    assert "label negative: 1 where gene_interaction < -0.08 and gene_interaction_p < 0.05 (45 genot" in shown
    assert run(main, ["inspect", TINY, MADE, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["labels"][-1]
    assert (made["name"], made["kind"], made["positive"]) == ("negative", "binary", 45)


def test_split_writes_what_inspect_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my split.csv"
    assert run(main, ["split", TINY, "data.seed=5", "-o", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "train: 168 genotypes\nval: 36 genotypes\ntest: 36 genotypes\n" in shown
    pinned = ["data.split.strategy=file", f"data.split.path='{path}'"]
    assert shown.splitlines()[-1] == f"data.split.strategy=file {shlex.quote(pinned[1])}"
    assert run(main, ["inspect", TINY, *pinned]) == 0
    assert "split my split.csv: 168 train, 36 val, 36 test" in capsys.readouterr().out
    digests = []
    for overrides in ([*pinned, "data.seed=9"], ["data.seed=5"], ["data.seed=9"]):
        assert run(main, ["inspect", TINY, *overrides, "--json"]) == 0
        digests.append(json.loads(capsys.readouterr().out)["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_split_refuses_a_folder_before_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["split", "data=yeast", "data.root=/nowhere", "-o", str(tmp_path)]) == 2
    assert f"--output: {tmp_path} is a folder" in capsys.readouterr().err
    assert run(main, ["split", TINY, "-o", str(tmp_path / "split.xlsx")]) == 2
    assert "cannot write the split to" in capsys.readouterr().err
