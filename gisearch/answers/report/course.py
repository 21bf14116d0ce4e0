"""How the search went: all trials in one picture, their learning curves, score against cost, failures."""

from __future__ import annotations

from gisearch.answers.report.blocks import Picture, Section, Table, Text
from gisearch.answers.report.material import Material
from gisearch.answers.report.numbers import counted
from gisearch.tracking.plots import svg, take_words

_WIDTH = 4.8


def picture(material: Material, name: str, height: float, width: float = _WIDTH) -> Picture | None:
    """Return one of the sweep's figures for the page, or None where the sweep does not allow it.

    Args:
        material: the sweep.
        name: the figure.
        height: in inches.
        width: in inches; the page scales all figures to its own width, and their text with them.
    """
    figure = material.figures.get(name)
    if figure is None:
        return None
    conclusion, detail = take_words(figure)
    drawing = svg(figure, name.replace("_", "-"), label=f"{conclusion}. {detail}", width=width, height=height)
    return Picture(drawing, conclusion, detail)


def parallel_section(material: Material) -> Section:
    """Return all parameters of all trials."""
    figure = material.figures.get("parallel_coordinates")
    height = 0.0 if figure is None else float(figure.get_size_inches()[1])
    shown = picture(material, "parallel_coordinates", height)
    missing = Text("All trials in one picture need at least two trials with a score.", "missing")
    return Section("parallel", "All trials in one picture", [shown or missing])


def curves_section(material: Material) -> Section:
    """Return the learning curves."""
    shown = picture(material, "learning_curves", 3.7)
    return Section("curves", "Learning curves", [shown or Text("No trial has finished an epoch.", "missing")])


def pareto_section(material: Material) -> Section:
    """Return score against cost."""
    title = "Score against cost"
    if material.results.cost is None:
        reason = (
            "The sweep searched for the score alone: objective.cost=parameters or objective.cost=seconds "
            "makes it search for the Pareto front of score and cost."
        )
        return Section("pareto", title, [Text(reason, "missing")])
    shown = picture(material, "pareto_front", 4.0)
    return Section("pareto", title, [shown or Text("No trial with a cost has finished.", "missing")])


def failures_section(material: Material) -> Section:
    """Return which trials failed, and why."""
    results = material.results
    failed = [row for row in results.rows if row.status == "failed"]
    running = [row for row in results.rows if row.status == "running"]
    reasons: dict[str, list[str]] = {}
    for row in sorted(failed, key=lambda row: row.number):
        reasons.setdefault(row.reason or "No reason was recorded.", []).append(row.trial_id)
    if running:
        words = "No result: still running, or the sweep was ended before it was done."
        reasons[words] = sorted(row.trial_id for row in running)
    if not reasons:
        return Section("failures", "Failures", [Text("No trial failed.")])
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[1]))
    caption = f"{len(failed)} of {counted(len(results.rows), 'trial')} failed; the search went on."
    rows = [(str(len(trials)), reason, ", ".join(trials)) for reason, trials in ordered]
    return Section(
        "failures", "Failures", [Table(caption, ("trials", "reason", "which"), rows, frozenset({0}))]
    )
