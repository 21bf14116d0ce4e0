"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gisearch.errors import GisearchError


class State(StrEnum):
    """How much a finding matters."""

    OK = "OK"
    NOTE = "NOTE"
    PROBLEM = "PROBLEM"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: what was looked at.
        state: ``PROBLEM`` where it keeps a sweep from running.
        text: what was found, and what to do about it.
    """

    check: str
    state: State
    text: str


Check = Callable[[], tuple[State, str]]


def examine(check: str, look: Check) -> Finding:
    """Look at one thing; that it cannot be looked at, for a library or a file is missing, is a problem."""
    try:
        state, text = look()
    except GisearchError as error:
        state, text = State.PROBLEM, str(error)
    except (ImportError, OSError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        where = "install the packages again" if isinstance(error, ImportError) else "correct that first"
        state, text = State.PROBLEM, f"cannot be used ({said}); {where}."
    return Finding(check, state, " ".join(text.split()))


def verdict(findings: Sequence[Finding]) -> str:
    """Return in a sentence whether a sweep can run."""
    problems = [finding.check for finding in findings if finding.state is State.PROBLEM]
    if problems:
        return f"A sweep cannot run here yet: see {', '.join(problems)}."
    notes = sum(finding.state is State.NOTE for finding in findings)
    return "A sweep can run here" + (f" ({notes} note{'s' * (notes > 1)})." if notes else ".")
