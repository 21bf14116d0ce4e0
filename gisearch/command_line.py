"""What all commands share: an error a user can act on is one sentence and exit code 2."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

from gisearch.errors import GisearchError
from gisearch.home import do_without_home
from gisearch.proxies import speak_directly_here

_FILE_WIDTH = 120

Main = Callable[[Sequence[str]], int | None]


def terminal(*, stderr: bool = False, highlight: bool = True) -> Console:
    """Return a console that shows text as it is: brackets and colons in names and paths mean nothing to it.

    A file or pipe gets lines of a legible width.
    """
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, emoji=False, highlight=highlight)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


def pasteable(verb: str, *arguments: object) -> str:
    """Return a command of this package as one line for a shell, whatever its arguments contain."""
    return shlex.join(["python", "-m", f"gisearch.{verb}", *map(str, arguments)])


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call ``main`` and turn its outcome into an exit code.

    Returns:
        0 or what ``main`` returned; 2 for an error of the user's input, printed as one sentence;
        130 after Ctrl-C; 1 where the reader of a pipe went away.
    """
    do_without_home()
    speak_directly_here()
    for stream in (sys.stdout, sys.stderr):
        # A locale that lacks a sign must not end a sweep that wants to show it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return main(sys.argv[1:] if argv is None else argv) or 0
    except GisearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python would complain again while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
