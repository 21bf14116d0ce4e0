"""What all commands share: an error a user can act on is one sentence and exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from gisearch.errors import GisearchError

Main = Callable[[Sequence[str]], int | None]


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call ``main`` and turn its outcome into an exit code.

    Returns:
        0 or what ``main`` returned; 2 for an error of the user's input, printed as one sentence;
        130 after Ctrl-C; 1 where the reader of a pipe went away.
    """
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
