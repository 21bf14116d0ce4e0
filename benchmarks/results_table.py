"""From results to sorted tables in Markdown, and a page that holds them between two markers."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results_runs import Result
from benchmarks.results_settings import Task
from gisearch.errors import ConfigError
from gisearch.files import write_whole

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
REFERENCE = "five_part_kernel"
LEVEL = 0.95
_LABELS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "pearson": "Pearson",
    "spearman": "Spearman",
}


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval by Student's t; NaN bounds where one seed allows none.

    Attributes:
        mean: over the seeds.
        low: lower end of the interval, cut off at -1.
        high: upper end, cut off at 1, beyond which no score and no difference of two lies.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Return the mean of values, one per seed, and its interval of ``LEVEL``."""
        mean = statistics.fmean(values)
        if len(values) < 2:
            return cls(mean, math.nan, math.nan)
        from scipy.stats import t

        error = statistics.stdev(values) / math.sqrt(len(values))
        reach = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
        return cls(mean, max(mean - reach, -1.0), min(mean + reach, 1.0))

    def plain(self) -> dict[str, float | None]:
        """Return the estimate as JSON knows it."""
        bounds = {"low": self.low, "high": self.high}
        return {"mean": self.mean, **{k: None if math.isnan(v) else v for k, v in bounds.items()}}

    def text(self, form: str = ".3f") -> str:
        """Return the estimate as it stands in a table."""
        mean = f"{self.mean:{form}}"
        return mean if math.isnan(self.low) else f"{mean} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class Standing:
    """Where a model stands on one task.

    Attributes:
        name: of the model or peer.
        kind: ``tuned``, ``preset`` or ``peer``.
        results: those of all seeds.
        scores: by metric, over the seeds that did not fail; empty where all did.
        difference: of the first metric from the reference's, by seed; None without seeds in common.
    """

    name: str
    kind: str
    results: tuple[Result, ...]
    scores: dict[str, Estimate]
    difference: Estimate | None = None

    @property
    def scored(self) -> tuple[Result, ...]:
        """The results that did not fail."""
        return tuple(result for result in self.results if not result.reason)

    @property
    def reasons(self) -> list[str]:
        """Why seeds failed, each reason once."""
        return list(dict.fromkeys(result.reason for result in self.results if result.reason))


def standings(task: Task, results: Sequence[Result]) -> list[Standing]:
    """Return how the models of a task stand, the best first and those that failed last."""
    own = [result for result in results if result.task == task.name]
    by_name: dict[str, list[Result]] = {}
    for result in own:
        by_name.setdefault(result.name, []).append(result)
    first = task.metrics[0]
    reference = {r.seed: r.scores[first] for r in by_name.get(REFERENCE, ()) if not r.reason}
    found = []
    for name, runs in by_name.items():
        good = [run for run in runs if not run.reason]
        scores = {m: Estimate.of([run.scores[m] for run in good]) for m in task.metrics} if good else {}
        paired = [run.scores[first] - reference[run.seed] for run in good if run.seed in reference]
        difference = Estimate.of(paired) if paired and name != REFERENCE else None
        found.append(Standing(name, runs[0].kind, tuple(runs), scores, difference))
    return sorted(found, key=lambda one: (not one.scores, -one.scores[first].mean if one.scores else 0.0))


def table(task: Task, results: Sequence[Result]) -> str:
    """Return a task's heading and table in Markdown."""
    rows = standings(task, results)
    against = any(row.difference for row in rows)
    ceilings = [result.ceiling for row in rows for result in row.scored if result.ceiling is not None]
    heads = ["model", *(_LABELS[metric] for metric in task.metrics)]
    heads += ["against the kernel"] * against + ["of the ceiling"] * bool(ceilings)
    heads += ["seconds", "processor s", "parameters", "configuration"]
    lines = [f"## {task.title}", "", _row(heads), _row(["---"] * len(heads))]
    for row in rows:
        name = f"`{row.name}`"
        if not row.scores:
            blank = [""] * (len(heads) - 3)
            lines.append(_row([name, f"failed: {_cell('; '.join(row.reasons))}", *blank, row.kind]))
            continue
        cells = [name, *(row.scores[metric].text() for metric in task.metrics)]
        if against:
            cells.append("" if row.difference is None else row.difference.text("+.3f"))
        if ceilings:
            shares = [run.scores["pearson"] / run.ceiling for run in row.scored if run.ceiling]
            cells.append(f"{statistics.fmean(shares):.0%}")
        cells += [_mean(row, "wall_seconds"), _mean(row, "processor_seconds"), _mean(row, "parameters")]
        lines.append(_row([*cells, _note(row)]))
    if ceilings:
        lines += ["", f"Noise ceiling of the test part (Pearson): {Estimate.of(_by_seed(rows)).text()}."]
    return "\n".join(lines)


def _by_seed(rows: Sequence[Standing]) -> list[float]:
    known = {r.seed: r.ceiling for row in rows for r in row.scored if r.ceiling is not None}
    return list(known.values())


def _mean(row: Standing, what: str) -> str:
    values = [getattr(result, what) for result in row.scored]
    mean = statistics.fmean(values)
    if what == "parameters" or mean >= 10:
        return f"{mean:,.0f}"
    return f"{mean:.1f}" if mean >= 1 else f"{mean:.2g}"


def _note(row: Standing) -> str:
    failed = len(row.results) - len(row.scored)
    kind = {"preset": "its preset, not tuned", "peer": "reference"}.get(row.kind, row.kind)
    if not failed:
        return kind
    return f"{kind}; {failed} of {len(row.results)} seeds failed: {_cell('; '.join(row.reasons))}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def tables(tasks: Sequence[Task], results: Sequence[Result], seeds: int) -> str:
    """Return the tables of all tasks in Markdown."""
    said = f"Seeds 0 to {seeds - 1}" if seeds > 1 else "Seed 0"
    about = f"{said}; means with {LEVEL:.0%} intervals over seeds (Student's t), best first."
    return "\n\n".join([about, *(table(task, results) for task in tasks)])


def require_page(path: Path) -> str:
    """Return a page that has room for tables.

    Raises:
        ConfigError: it cannot be read, or lacks the markers.
    """
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--out: cannot read {path}: {error}.") from None
    begin, end = page.find(BEGIN), page.find(END)
    if begin < 0 or end < begin:
        raise ConfigError(f"--out: {path} has no lines {BEGIN!r} and {END!r}; the tables go between them.")
    return page


def write_page(path: Path, text: str, picture: Path | None = None) -> None:
    """Replace what a page holds between its markers.

    Args:
        path: the page.
        text: what it is to hold.
        picture: an image to show before it.

    Raises:
        ConfigError: it cannot be read or written, or lacks the markers.
    """
    page = require_page(path)
    before, after = page[: page.find(BEGIN) + len(BEGIN)], page[page.find(END) :]
    if picture is not None:
        link = os.path.relpath(picture, path.parent)
        text = f"![Test scores: a dot per model, its interval over seeds, the seeds]({link})\n\n{text}"
    write_whole(path, f"{before}\n\n{text}\n\n{after}")
