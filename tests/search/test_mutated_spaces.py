"""Whatever a search-space file holds, it is read, or refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gisearch.errors import GisearchError
from gisearch.resources import resource_folder
from gisearch.search.plan import plan_sweep
from gisearch.search.space_file import SpaceFile

SHIPPED = [
    path.read_text(encoding="utf-8") for path in sorted(resource_folder("search_spaces").glob("*.yaml"))
]
JUNK = [
    "",
    "[",
    "{",
    "null",
    "-1",
    "1e999",
    ".nan",
    "[]",
    "{}",
    "'",
    "true",
    "\t",
    ": ",
    "- ",
    "&a",
    "*a",
    "\0",
]
JUNK += ["!!python/none", "9" * 400, "é", "<<", "? ", "{low: 1, high: 0}", "\ud800", "12:00"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A shipped file, one to three of its lines left out, repeated, given another value or broken."""
    lines = draw(st.sampled_from(SHIPPED)).split("\n")
    for _ in range(draw(st.integers(1, 3))):
        i = draw(st.integers(0, len(lines) - 1))
        what, junk = draw(st.sampled_from(["less", "again", "value", "broken"])), draw(st.sampled_from(JUNK))
        if what == "less":
            lines[i] = ""
        elif what == "again":
            lines.insert(i, draw(st.sampled_from(lines)))
        elif what == "value":
            lines[i] = lines[i].partition(":")[0] + f": {junk}"
        else:
            cut = draw(st.integers(0, len(lines[i])))
            lines[i] = lines[i][:cut] + junk + lines[i][cut:]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@contextmanager
def suppress_one_line() -> Iterator[None]:
    """Let errors for the user pass, whose messages are one line."""
    message = ""
    try:
        yield
    except GisearchError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


OPTIONS = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@pytest.mark.slow
@settings(max_examples=1000, **OPTIONS)
@given(content=mutated())
def test_reading(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    with suppress_one_line():
        file = SpaceFile.read(path)
        file.choices()
        file.settings()


@pytest.mark.slow
@settings(max_examples=40, **OPTIONS)
@given(content=mutated())
def test_planning(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    with suppress_one_line():
        plan_sweep(path, [])
