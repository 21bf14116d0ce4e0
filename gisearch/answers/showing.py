"""What a confirmation or ablation shows in the terminal: its plan before, its findings after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gisearch.answers.comparison import Comparison
from gisearch.answers.findings import Candidate, Findings, Interval
from gisearch.answers.wording import decimals_of, number, value_words
from gisearch.command_line import pasteable
from gisearch.search.presentation import short_names
from gisearch.search.results import SweepResults
from gisearch.search.sweep import SweepOutcome


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Show what would be trained."""
    record, source = comparison.record, comparison.source
    table = Table("candidate", title=f"{source.results.name}: {comparison.question}", title_justify="left")
    table.add_column("search score", justify="right")
    table.add_column("where they differ", overflow="fold")
    differing = _differing(record.candidates)
    for one in record.candidates:
        table.add_row(_name(one, record.choice), _number(one.search_value), _values(one, differing))
    console.print(table)
    for note in record.notes:
        console.print(f"note: {note}", style="dim", highlight=False)
    trained = [row.seconds for row in source.trained()]
    seconds = record.runs * sum(trained) / len(trained)
    facts = {
        "trainings": f"{record.runs} ({len(record.candidates)} candidates x {len(record.seeds)} seeds"
        + (f" x {len(record.sweeps)} splits)" if len(record.sweeps) > 1 else ")"),
        "seeds": ", ".join(map(str, record.seeds)),
        "training time": f"about {seconds:,.0f} s in all, by the search's own trials",
        "sweeps": ", ".join(str(comparison.folder_of(sweep)) for sweep in record.sweeps),
    }
    for key, value in facts.items():
        console.print(Text.assemble((f"{key:14}", "bold"), f" {value}"), highlight=False, soft_wrap=True)


def print_findings(findings: Findings, results: SweepResults, console: Console) -> None:
    """Show a table of the candidates, what was found in words, and where to go on."""
    part = findings.metric.partition("/")[2]
    title = f"{results.name}: " + (
        "confirmation" if findings.choice is None else f"ablation of {findings.choice}"
    )
    table = Table("candidate", title=title, title_justify="left")
    for column in (
        "search",
        f"val/{part}",
        f"test/{part} (std)",
        "95 % interval",
        "runs",
        "parameters",
        "s/run",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for one in findings.candidates:
        scored = [run for run in one.runs if run.test is not None]
        seconds = sum(run.seconds for run in scored) / len(scored) if scored else None
        table.add_row(
            _name(one, findings.choice),
            _number(one.search_value),
            _mean(one.val),
            _mean(one.test, with_std=True),
            _interval(one.test),
            f"{len(scored)}/{len(one.runs)}",
            f"{one.parameters:,}",
            "-" if seconds is None else f"{seconds:.1f}",
        )
    console.print()
    console.print(table)
    if findings.noise_ceiling is not None:
        console.print(f"Noise ceiling of the test split: {findings.noise_ceiling:.4f}", highlight=False)
    differing = _differing(findings.candidates)
    borrowed = {one.name: one.borrowed for one in findings.candidates if one.borrowed}
    if findings.choice is None and differing:
        console.print("\nWhere they differ:", highlight=False)
        for one in findings.candidates:
            console.print(f"  {one.name}: {_values(one, differing)}", highlight=False, soft_wrap=True)
    for name, values in borrowed.items():
        givers = ", ".join(f"{path} ({giver})" for path, giver in values.items())
        console.print(f"{findings.choice} = {name} needs values of its own: {givers}", highlight=False)
    console.print()
    for sentence in findings.sentences:
        console.print(f"- {sentence}", highlight=False, soft_wrap=True)


def print_next(results: SweepResults, findings: Findings, path: Path, console: Console) -> None:
    """Say where the findings are, and what to do next."""
    lines = [f"Saved: {path}"]
    if findings.choice is None:
        winner = findings.candidates[0]
        choice = next(iter(_differing(findings.candidates)), None)
        if choice is not None and winner.name.startswith("t"):
            again = pasteable("ablate", results.handle, "--choice", choice, "--of", winner.name)
            lines.append(f"Ablate: {again}")
    console.print("\n" + "\n".join(lines), highlight=False, soft_wrap=True)


def print_unfinished(outcome: SweepOutcome, console: Console) -> None:
    """Say how to go on."""
    why = "Interrupted" if outcome.interrupted else "Its limit (search.hours or search.gpu_hours) is reached"
    console.print(
        f"{why}; the test split has not been looked at. Run the same command again, without --again, to go "
        f"on{'' if outcome.interrupted else ', with a higher limit'}.",
        highlight=False,
        soft_wrap=True,
    )


def _differing(candidates: tuple[Candidate, ...]) -> Mapping[str, str]:
    """Return the keys in which candidates differ, and their short names."""
    paths = list(dict.fromkeys(path for one in candidates for path in one.params))
    texts = {path: {json.dumps(one.params.get(path)) for one in candidates} for path in paths}
    differing = [path for path in paths if len(texts[path]) > 1]
    names = short_names(paths)
    return {path: names[path] for path in differing}


def _values(one: Candidate, names: Mapping[str, str]) -> str:
    texts = (f"{name} {value_words(one.params[path])}" for path, name in names.items() if path in one.params)
    return ", ".join(texts)


def _name(one: Candidate, choice: str | None) -> str:
    if choice is not None:
        return str(one.name)
    return f"{one.name} (baseline)" if one.baseline and one.name.startswith("t") else one.name


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _mean(interval: Interval | None, *, with_std: bool = False) -> str:
    if interval is None:
        return "failed"
    decimals = max(4, decimals_of(interval))
    text = number(interval.mean, decimals)
    return f"{text} ({interval.std:.{decimals}f})" if with_std and interval.n > 1 else text


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    decimals = max(4, decimals_of(interval))
    return f"{number(interval.low, decimals)} to {number(interval.high, decimals)}"
