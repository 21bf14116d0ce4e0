from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gisearch import __version__
from gisearch.__main__ import VERBS, dispatch
from gisearch.command_line import run


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([]) == dispatch(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)
    assert dispatch(["--version"]) == 0
    assert capsys.readouterr().out == f"gisearch {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        dispatch([verb, "--help"])
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_an_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(dispatch, ["swep"]) == 2
    verbs = "sweep, train, report, ui, confirm, ablate, ensemble, predict, launch, doctor, data"
    expected = f"error: unknown verb 'swep'; expected one of {verbs}. Did you mean 'sweep'?\n"
    assert capsys.readouterr().err == expected


def test_a_verb_gets_its_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(dispatch, ["report", "x"]) == 2
    assert capsys.readouterr().err == "error: no results called 'x' in results/ (it has: none).\n"


def test_as_a_module(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "gisearch", "nonsense"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("error: unknown verb 'nonsense'; expected one of ")


def test_ctrl_c_is_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(argv: object) -> int:
        raise KeyboardInterrupt

    assert run(interrupted, []) == 130
    assert capsys.readouterr().err == "interrupted\n"
