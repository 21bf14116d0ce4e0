from __future__ import annotations

from pathlib import Path

import pytest

from gisearch import ablate
from gisearch.ablate import _values
from gisearch.command_line import run


def test_values_are_read_as_overrides_are() -> None:
    assert _values("a,true,0.1,1e-3,[1,2],null") == ["a", True, 0.1, 0.001, [1, 2], None]


def test_wrong_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ablate.main, ["nothing", "--choice", "x", "--results-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no results called 'nothing' in {tmp_path}/ (it has: none).\n"
    assert run(ablate.main, ["nothing", "--choice", "x", "--seeds", "0"]) == 2
    assert capsys.readouterr().err == "error: --seeds: expected a number of at least 1, got 0.\n"
    with pytest.raises(SystemExit) as ended:
        run(ablate.main, ["nothing"])
    assert ended.value.code == 2
    assert "--choice" in capsys.readouterr().err
