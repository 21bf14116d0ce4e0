"""From a sweep to one HTML file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from gisearch.answers.report.answer import answer_section, leaderboard_section
from gisearch.answers.report.averaged import ensemble_section
from gisearch.answers.report.choices import importance_section
from gisearch.answers.report.course import curves_section, failures_section, parallel_section, pareto_section
from gisearch.answers.report.material import Material, gather
from gisearch.answers.report.model import (
    attention_section,
    calibration_section,
    predictions_section,
    subgroups_section,
)
from gisearch.answers.report.origin import provenance_section
from gisearch.answers.report.retrained import ablation_section, confirmed_section
from gisearch.files import write_whole
from gisearch.search.results import SweepResults

REPORT = "report.html"

_SECTIONS = (
    answer_section,
    confirmed_section,
    ablation_section,
    ensemble_section,
    leaderboard_section,
    importance_section,
    parallel_section,
    curves_section,
    predictions_section,
    calibration_section,
    subgroups_section,
    attention_section,
    pareto_section,
    failures_section,
    provenance_section,
)


def write_report(results: SweepResults, path: Path | None = None) -> Path:
    """Write the report of a sweep, also of one that is still running or was killed.

    What the sweep does not have, its section says. The same sweep gives the same file.

    Args:
        results: the sweep.
        path: where to; ``report.html`` in the sweep's folder unless given.

    Returns:
        The file.

    Raises:
        DiskFullError: there is no space left; an earlier report is still there.
        ConfigError: the file cannot be written.
    """
    path = results.folder / REPORT if path is None else path
    write_whole(path, render(gather(results)))
    return path


def render(material: Material) -> str:
    """Return the page."""
    from markupsafe import Markup

    sections = [section(material) for section in _SECTIONS]
    css, script = (_packaged(name) for name in ("report.css", "report.js"))
    template = _environment().get_template("report.html.j2")
    text: str = template.render(
        results=material.results,
        sections=sections,
        # The only texts that are not escaped are this package's own.
        css=Markup(css),
        script=Markup(script),
    )
    return text


def _environment() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_packaged),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _packaged(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")
