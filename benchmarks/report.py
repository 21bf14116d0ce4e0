"""What benchmarks share: timing, peak memory in a process of its own, and one report per benchmark.

A benchmark is a mapping of cases, the first of which is the reference. A case is a function of a module
(or a ``functools.partial`` of one), because every case runs in a fresh process: its peak memory is then
nobody else's. It returns what it measured, ``seconds`` at least.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Case = Callable[[], Mapping[str, Any]]
Report = dict[str, Any]


def median_seconds(step: Callable[[], object], *, repeats: int, warmup: int = 1) -> float:
    """Return the median wall time of ``step`` in seconds, after ``warmup`` runs that do not count."""
    for _ in range(warmup):
        step()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def peak_memory_mb() -> float:
    """Return this process's peak resident memory in MB, the libraries it imported included."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not ru_maxrss, which on Linux a new process inherits from the one that started it.
        kilobytes = next(line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(kilobytes) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def measure_case(case: Case) -> dict[str, Any]:
    """Run ``case`` in a fresh process; return what it measured, and its ``peak_mb``.

    Raises:
        RuntimeError: the process died, of too little memory for example.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(case, sender))
    process.start()
    sender.close()
    try:
        measured: dict[str, Any] = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the case's process ended with exit code {process.exitcode}.") from None
    process.join()
    return measured


def _run(case: Case, sender: Any) -> None:
    measured = dict(case())
    sender.send({"peak_mb": peak_memory_mb()} | measured)
    sender.close()


def measure(benchmark: str, cases: Mapping[str, Case]) -> Report:
    """Run every case, one after another, and return the benchmark's report.

    Returns:
        ``benchmark``, ``machine`` and ``rows``; a row has ``case``, ``seconds``, ``ratio`` (the first
        case's seconds over this one's), ``peak_mb``, and whatever else the case measured.
    """
    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    rows: list[dict[str, Any]] = []
    reference: float | None = None
    for name, case in cases.items():
        measured = measure_case(case)
        seconds = float(measured.pop("seconds"))
        reference = seconds if reference is None else reference
        row = {"case": name, "seconds": round(seconds, 5), "ratio": round(reference / seconds, 2)}
        rows.append(row | {"peak_mb": round(measured.pop("peak_mb"))} | measured)
    return {"benchmark": benchmark, "machine": machine, "rows": rows}


def parser_of(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return the command line that every benchmark has: ``--json``, ``--repeats``, ``--threads``."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5, help="steps per case, of which the median counts")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch")
    return parser


def show(report: Report, *, as_json: bool) -> None:
    """Print the report as one JSON object, or as a table."""
    if as_json:
        print(json.dumps(report, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    extras = list(dict.fromkeys(key for row in report["rows"] for key in row))[4:]
    table = Table("case", "seconds", "times faster", "peak MB", *extras, title=report["benchmark"])
    for row in report["rows"]:
        cells = [row["case"], f"{row['seconds']:.4f}", f"{row['ratio']:.1f}", str(row["peak_mb"])]
        table.add_row(*cells, *(_text(row.get(key, "")) for key in extras))
    Console().print(table)


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
