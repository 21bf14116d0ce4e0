"""What all commands do with errors, interruptions and broken pipes."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import gisearch
from gisearch.command_line import pasteable, run
from gisearch.errors import ConfigError, GisearchError, nearest_name


def test_returns_what_the_command_returned() -> None:
    assert run(lambda _: None, []) == 0
    assert run(lambda _: 0, []) == 0
    assert run(lambda _: 3, []) == 3
    assert run(lambda argv: len(argv), ["a", "b"]) == 2


def test_takes_the_process_arguments_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gisearch", "one", "two"])
    seen: list[Sequence[str]] = []
    run(lambda argv: seen.append(argv), None)
    assert seen == [["one", "two"]]


@pytest.mark.parametrize("error", [GisearchError, ConfigError])
def test_an_error_of_the_input_is_one_sentence(
    error: type[GisearchError], capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: Sequence[str]) -> None:
        raise error("the file is missing.")

    assert run(main, []) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: the file is missing.\n"
    assert captured.out == ""


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: Sequence[str]) -> None:
        raise KeyboardInterrupt

    assert run(main, []) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_not_hidden() -> None:
    def main(_: Sequence[str]) -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run(main, [])


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    code = (
        "import sys; from gisearch.command_line import run\n"
        "def main(_):\n"
        "    for i in range(200000): print('line', i)\n"
        "sys.exit(run(main, []))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"line 0\n"
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert errors == b""


def test_nearest_name() -> None:
    assert nearest_name("hiden_dim", ["hidden_dim", "dropout"]) == " Did you mean 'hidden_dim'?"
    assert nearest_name("yfr001W", ["YFR001W"]) == " Did you mean 'YFR001W'?"
    assert nearest_name("zzz", ["hidden_dim"]) == ""
    assert nearest_name("x", []) == ""


LATIN = """
import sys
from gisearch.command_line import run, terminal

def main(_):
    print("\u03c1 \u2265 0.5 caf\u00e9")
    terminal().print("\u2265 [old] [/h] :smile:", highlight=False)
    return 3

sys.exit(run(main, []))
"""


def test_a_locale_without_a_sign_shows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "iso-8859-1")
    done = subprocess.run([sys.executable, "-c", LATIN], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
    assert done.stdout.decode("iso-8859-1") == "? ? 0.5 caf\u00e9\n? [old] [/h] :smile:\n"


def test_a_command_can_be_pasted() -> None:
    line = pasteable("report", "/x/it's [1]", "--of", "t1")
    assert shlex.split(line) == ["python", "-m", "gisearch.report", "/x/it's [1]", "--of", "t1"]


def _without_encoding(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    named = {keyword.arg for keyword in call.keywords}
    if name not in ("read_text", "write_text", "open"):
        return name in ("run", "Popen") and "text" in named and "encoding" not in named
    # The mode comes first where a path is opened; a member of an archive is bytes.
    given = call.args[:1] if name == "open" else call.args
    modes = [value.value for value in given if isinstance(value, ast.Constant)]
    is_text = name.endswith("_text") or any(mode in ("r", "w", "x", "a") for mode in modes)
    # read_text("utf-8") names it by its place.
    return is_text and "utf-8" not in modes and "encoding" not in named


def test_every_file_is_opened_as_utf_8() -> None:
    calls = [
        f"{path}, line {node.lineno}"
        for path in Path(gisearch.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _without_encoding(node)
    ]
    assert calls == []
