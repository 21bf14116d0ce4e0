"""A baseline: ratios of an earlier run in a file, to compare a change with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Report, Row
from gisearch.errors import DataError

FORMAT = 1
# Ratios that differ by less are not told apart, however steady the repeats were; and what is assumed of a
# case that ran too few times to have a spread.
LEAST_TOLERANCE, UNKNOWN_SPREAD = 0.1, 0.15


@dataclass(frozen=True)
class Change:
    """One case now and in the baseline.

    Attributes:
        benchmark: the benchmark.
        case: the case.
        before: its ratio in the baseline.
        now: its ratio now.
        tolerance: relative differences below this are noise.
    """

    benchmark: str
    case: str
    before: float
    now: float
    tolerance: float

    @property
    def is_noise(self) -> bool:
        """Whether the two ratios cannot be told apart."""
        return abs(math.log(self.now / self.before)) <= math.log1p(self.tolerance)

    def __str__(self) -> str:
        ratios = f"ratio {self.before:.3g} then, {self.now:.3g} now"
        noise = f"below {self.tolerance:.0%} is noise"
        if self.is_noise:
            return f"{self.benchmark} {self.case}: as the baseline ({ratios}; {noise})"
        times = self.now / self.before
        verdict = f"{times:.2f} times faster" if times > 1 else f"{1 / times:.2f} times slower"
        return f"{self.benchmark} {self.case}: {verdict} than the baseline ({ratios}; {noise})"


@dataclass(frozen=True)
class Comparison:
    """Reports against a baseline.

    Attributes:
        changes: the cases that both have, but references, whose ratio is one.
        notes: what could not be compared, and why.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        changes = [{**asdict(change), "is_noise": change.is_noise} for change in self.changes]
        return {"changes": changes, "notes": list(self.notes)}


def save(path: Path, reports: Iterable[Report]) -> None:
    """Write the reports' ratios; benchmarks of an earlier baseline that did not run now stay as they are.

    Raises:
        DataError: the file cannot be written, or holds something else.
    """
    kept = _read(path) if path.exists() else {}
    kept |= {report.benchmark: _entry(report) for report in reports}
    text = json.dumps({"format": FORMAT, "benchmarks": dict(sorted(kept.items()))}, indent=2)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(text + "\n")
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}).") from None


def compare(path: Path, reports: Iterable[Report]) -> Comparison:
    """Compare reports with the baseline in a file, case by case.

    Raises:
        DataError: there is no such file, or it is no baseline.
    """
    known = _read(path)
    changes: list[Change] = []
    notes: list[str] = []
    for report in reports:
        entry = known.get(report.benchmark)
        if entry is None:
            notes.append(f"{report.benchmark}: not in the baseline")
            continue
        now = json.loads(json.dumps(_entry(report)))
        differing = [
            what
            for what in ("sizes", "threads", "device", "gpu", "cores")
            if entry.get(what) != now.get(what)
        ]
        if differing:
            notes.append(f"{report.benchmark}: not compared, because of other {' and '.join(differing)}")
            continue
        before = entry["cases"]
        for row in report.rows:
            if row.reference == row.case:
                continue
            if row.case not in before:
                notes.append(f"{report.benchmark} {row.case}: not in the baseline")
                continue
            old = before[row.case]
            spreads = (old["spread"], _ratio_spread(report, row))
            tolerance = max(LEAST_TOLERANCE, 2 * math.hypot(*spreads))
            changes.append(Change(report.benchmark, row.case, old["ratio"], row.ratio, tolerance))
    return Comparison(tuple(changes), tuple(notes))


def _entry(report: Report) -> dict[str, Any]:
    machine = report.machine
    return {
        "sizes": dict(report.sizes),
        **{name: machine[name] for name in ("threads", "device", "gpu", "cores", "load") if name in machine},
        "versions": dict(machine.get("versions", {})),
        "cases": {
            row.case: {
                "ratio": float(f"{row.ratio:.4g}"),
                "reference": row.reference,
                "spread": float(f"{_ratio_spread(report, row):.2g}"),
                "peak_mb": row.peak_mb,
            }
            for row in report.rows
            if row.reference != row.case
        },
    }


def _ratio_spread(report: Report, row: Row) -> float:
    reference = next(other for other in report.rows if other.case == row.reference)
    spreads = (UNKNOWN_SPREAD if r.spread is None else r.spread for r in (reference, row))
    return math.hypot(*spreads)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise KeyError("format")
        benchmarks: dict[str, Any] = dict(content["benchmarks"])
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; expected a baseline written with --save.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a baseline written with --save ({error!r}).") from None
    return benchmarks
