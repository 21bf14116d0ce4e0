"""What a cell of a table means: missing, a number, yes or no."""

from __future__ import annotations

from collections.abc import Iterable

# How R, pandas, SQL, spreadsheets and people write that there is nothing, in lower case.
MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "<na>", "nan", "+nan", "-nan", "null", "none", "nil", "-", "--", ".", "?", "nd"}
)
# The spellings that software writes. A reader's fast path asks every number that begins with the same letter
# whether it is one of them: those that begin as numbers do are left to the slow path.
FREQUENT_MISSING = ("", "NA", "NaN", "nan", "None", "NULL", "null", "N/A")
_TRUTH = {"1": 1.0, "1.0": 1.0, "true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0}
_TRUTH |= {"0": 0.0, "0.0": 0.0, "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0}
_FIGURES = frozenset({"0", "1", "0.0", "1.0"})


def is_missing(text: str) -> bool:
    """Return whether a cell says that there is nothing, however that is spelt."""
    return text.strip().lower() in MISSING


def plain_cell(text: str) -> str:
    """Return a cell without the spaces and the quotation marks around it."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].strip()
    return text


def truth_of(text: str) -> float | None:
    """Return 1.0 or 0.0 for a cell that says yes or no (1, True, yes), NaN where missing, None otherwise."""
    word = plain_cell(text).lower()
    return float("nan") if word in MISSING else _TRUTH.get(word)


def in_words(cells: Iterable[str]) -> bool:
    """Return whether any cell says yes or no in another way than by 1 and 0."""
    return any(not is_missing(cell) and plain_cell(cell) not in _FIGURES for cell in cells)
