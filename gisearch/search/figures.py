"""The figures of a sweep, from its results."""

from __future__ import annotations

from pathlib import Path

from gisearch.search.results import SweepResults


def draw_figures(results: SweepResults, folder: Path) -> list[Path]:
    return []
