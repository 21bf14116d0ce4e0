"""What benchmarks share: one command line, one typed report, one way to measure and to show.

A benchmark is a mapping of cases. A case is a function of a module (or a ``functools.partial`` of one),
because every case runs in a fresh process: its peak memory is then nobody else's. It returns what it
measured, ``seconds`` at least (see ``timing.py``).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.timing import Case, measure_case

VERSIONS = ("torch", "torch-geometric", "torch-scatter", "numpy", "ray", "optuna", "mlflow")


class SkippedError(Exception):
    """A benchmark cannot run here; the message says why, in one sentence."""


@dataclass(frozen=True)
class Options:
    """What every benchmark can be asked.

    Attributes:
        repeats: steps per case, of which the median counts.
        threads: threads of PyTorch.
        device: where tensors live; a benchmark that only measures the processor refuses ``cuda``.
        yeast: the folder of yeast tables, for benchmarks of data.
        sweep: whether to start a sweep where that is part of a benchmark.
    """

    repeats: int = 5
    threads: int = 2
    device: str = "cpu"
    yeast: Path | None = None
    sweep: bool = False

    def require_cpu(self, benchmark: str) -> None:
        """Raise SkippedError where another device was asked for."""
        if self.device != "cpu":
            raise SkippedError(f"{benchmark} measures the processor only: run it with --device cpu.")


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        case: its name.
        seconds: by the wall clock, the median of the repeats.
        ratio: the reference's seconds over this case's, of the same run.
        reference: the case that it is compared with.
        spread: half the distance between the quartiles of the seconds, relative to them; None where the
            case ran fewer than three times.
        processor_seconds: of all threads; None where other processes do the work.
        peak_mb: peak resident memory of the case's own process.
        facts: whatever else the case measured.
    """

    case: str
    seconds: float
    ratio: float
    reference: str
    peak_mb: int
    spread: float | None = None
    processor_seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What one benchmark measured in one run.

    Attributes:
        benchmark: its name.
        machine: cores, load, GPU, versions; nothing that names the machine.
        sizes: what was measured at which size; only reports of equal sizes compare.
        rows: the cases, in the order they ran.
        facts: what belongs to no case.
    """

    benchmark: str
    machine: Mapping[str, Any]
    sizes: Mapping[str, Any]
    rows: tuple[Row, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return dataclasses.asdict(self)

    def with_facts(self, facts: Callable[[Row], Mapping[str, Any]], *, without: Sequence[str] = ()) -> Report:
        """Return the report with further facts per row, and without those named."""
        rows = []
        for row in self.rows:
            kept = {name: value for name, value in row.facts.items() if name not in without}
            rows.append(dataclasses.replace(row, facts={**kept, **facts(row)}))
        return dataclasses.replace(self, rows=tuple(rows))


def machine_of(options: Options) -> dict[str, Any]:
    """Describe the machine and the versions; no host name."""
    versions = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    described: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "threads": options.threads,
        "device": options.device,
        "versions": versions,
    }
    if options.device == "cuda":
        import torch

        described["gpu"] = torch.cuda.get_device_name()
    return described


def measure(
    benchmark: str,
    cases: Mapping[str, Case],
    options: Options,
    *,
    sizes: Mapping[str, Any],
    references: Mapping[str, str] | None = None,
) -> Report:
    """Run every case, one after another, and return the benchmark's report.

    Args:
        benchmark: its name.
        cases: case name to case.
        options: what was asked.
        sizes: what makes two reports comparable.
        references: which earlier case a case is compared with; by default the first one.
    """
    machine = machine_of(options)
    first = next(iter(cases))
    rows: dict[str, Row] = {}
    for name, case in cases.items():
        measured = measure_case(case)
        seconds = float(measured.pop("seconds"))
        reference = (references or {}).get(name, first)
        rows[name] = Row(
            case=name,
            seconds=seconds,
            ratio=1.0 if reference == name else rows[reference].seconds / seconds,
            reference=reference,
            peak_mb=round(measured.pop("peak_mb")),
            spread=measured.pop("spread", None),
            processor_seconds=measured.pop("processor_seconds", None),
            facts=measured,
        )
    return Report(benchmark, machine, dict(sizes), tuple(rows.values()))


def parser_of(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return the command line that every benchmark has."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks{module and '.'}{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5, help="steps per case, of which the median counts")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where tensors live")
    return parser


def options_of(arguments: argparse.Namespace) -> Options:
    """Return the options of a parsed command line.

    Raises:
        SkippedError: there is no such device.
    """
    if arguments.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise SkippedError("--device cuda: PyTorch finds no GPU here.")
    known = {option.name for option in dataclasses.fields(Options)}
    return Options(**{name: value for name, value in vars(arguments).items() if name in known})


def run_alone(module: str, description: str | None, benchmark: Callable[[Options], Report]) -> int:
    """Be the command of one benchmark without options of its own; return the exit code."""
    arguments = parser_of(module, description).parse_args()
    return finish(lambda: benchmark(options_of(arguments)), as_json=arguments.json)


def finish(run: Callable[[], Report], *, as_json: bool) -> int:
    """Run a benchmark and show its report, or say why it cannot run; return the exit code."""
    try:
        report = run()
    except SkippedError as skipped:
        print(f"skipped: {skipped}", file=sys.stderr)
        return 0
    show(report, as_json=as_json)
    return 0


def show(report: Report, *, as_json: bool) -> None:
    """Print the report as one JSON object, or as a table."""
    if as_json:
        print(json.dumps(report.plain(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    heads = ("case", "seconds", "±", "processor s", "times faster", "than", "peak MB")
    table = Table(*heads, title=report.benchmark)
    for row in report.rows:
        cells = [
            row.case,
            f"{row.seconds:.4g}",
            "" if row.spread is None else f"{row.spread:.0%}",
            "" if row.processor_seconds is None else f"{row.processor_seconds:.4g}",
            f"{row.ratio:.3g}",
            "" if row.reference == row.case else row.reference,
            str(row.peak_mb),
        ]
        table.add_row(*cells)
    console = Console()
    console.print(table)
    facts = {row.case: row.facts for row in report.rows}
    for what, values in (
        *facts.items(),
        ("all", report.facts),
        ("sizes", report.sizes),
        ("machine", report.machine),
    ):
        if values:
            listed = ", ".join(f"{key} {_text(value)}" for key, value in values.items())
            console.print(f"{what}: {listed}", highlight=False)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
