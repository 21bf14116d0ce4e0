"""Timing and memory: of steps by wall and processor clock, of cases in a process of their own."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Case = Callable[[], Mapping[str, Any]]


def timing(
    step: Callable[[], object], *, repeats: int, warmup: int = 1, device: str = "cpu"
) -> dict[str, Any]:
    """Time ``step``, after ``warmup`` runs that do not count.

    A GPU works on while the program goes on: the clocks are read when it has finished.

    Returns:
        ``seconds``, the median by the wall clock, their ``spread`` (see :func:`spread_of`), and
        ``processor_seconds``, the median of all threads' processor time.
    """
    for _ in range(warmup):
        step()
    walls, processors = [], []
    for _ in range(repeats):
        wait_for(device)
        wall, processor = time.perf_counter(), time.process_time()
        step()
        wait_for(device)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return {
        "seconds": statistics.median(walls),
        "spread": spread_of(walls),
        "processor_seconds": statistics.median(processors),
    }


def spread_of(values: Sequence[float]) -> float | None:
    """Return half the distance between the quartiles relative to the median; None for fewer than three."""
    if len(values) < 3:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / middle


def wait_for(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


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

    Where it used a GPU, ``gpu_peak_mb`` is what its tensors took there.

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
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        measured["gpu_peak_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
    sender.send({"peak_mb": peak_memory_mb()} | measured)
    sender.close()
