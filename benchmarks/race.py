"""How good a search is by when: a command watched from its start, with all processes that it starts."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

Read = Callable[[], Iterator[float]]

# Seconds between two looks: small beside a minute, and a look takes milliseconds.
_INTERVAL = 0.5


@dataclass(frozen=True)
class Point:
    """Where a search stands.

    Attributes:
        seconds: since its command was started.
        processor_seconds: of all its processes.
        epochs: trained so far, by all trials.
        best: the best validation score of any trial so far.
    """

    seconds: float
    processor_seconds: float
    epochs: int
    best: float


@dataclass(frozen=True)
class Curve:
    """One search from its start to its end.

    Attributes:
        points: after each look that found new epochs; at least one.
        seconds: when it ended or was stopped.
        processor_seconds: of all its processes until then.
        peak_mb: the most memory that they held together at a look; what they share is not counted.
    """

    points: tuple[Point, ...]
    seconds: float
    processor_seconds: float
    peak_mb: int

    def reach(self, threshold: float) -> Reach:
        """Return what it took to reach a score."""
        for point in self.points:
            if point.best >= threshold:
                return Reach(point.seconds, point.processor_seconds, point.epochs, reached=True)
        return Reach(self.seconds, self.processor_seconds, self.points[-1].epochs, reached=False)


@dataclass(frozen=True)
class Reach:
    """What a search took to reach a score; where it did not, what it took in all, which is a bound."""

    seconds: float
    processor_seconds: float
    epochs: int
    reached: bool


@dataclass(frozen=True)
class Advantage:
    """How many times less one search took than another, over paired runs.

    Attributes:
        mean: the geometric mean over the pairs.
        low: the smallest.
        high: the largest.
        bound: empty for a measured mean; ``>=`` where the other did not reach the score in some pair, ``<=``
            where this one did not, ``?`` where both happened.
    """

    mean: float
    low: float
    high: float
    bound: str

    @classmethod
    def of(cls, own: Sequence[Reach], other: Sequence[Reach], what: str) -> Advantage:
        """Compare pairs by one of a reach's figures, ``seconds`` for example."""
        ratios = [getattr(b, what) / getattr(a, what) for a, b in zip(own, other, strict=True)]
        bounds = {">=" for b in other if not b.reached} | {"<=" for a in own if not a.reached}
        bound = "?" if len(bounds) == 2 else "".join(bounds)
        return cls(statistics.geometric_mean(ratios), min(ratios), max(ratios), bound)

    def __str__(self) -> str:
        return f"{self.bound}{self.mean:.2g} ({self.low:.2g} to {self.high:.2g})"


def new_lines(folder: Path, pattern: str) -> Callable[[], Iterator[Mapping[str, object]]]:
    """Return a function that yields the JSON lines that were added to a file since it was last called.

    Args:
        folder: where the file will appear.
        pattern: its path within the folder.
    """
    offset = 0

    def read() -> Iterator[Mapping[str, object]]:
        nonlocal offset
        path = next(folder.glob(pattern), None)
        if path is None:
            return
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                # The rest of a line that is being written comes with the next look.
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                yield json.loads(line)

    return read


class Family:
    """A process and whatever it started, also indirectly: their processor time, their memory, their end."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.processor: dict[psutil.Process, float] = {self.root: 0.0}
        self.peak_mb = 0

    def look(self) -> float:
        """Return the processor seconds of all, those that have ended since the last look included.

        What a process used between the last look at it and its end is missed.
        """
        with suppress(psutil.Error):
            for process in self.root.children(recursive=True):
                self.processor.setdefault(process, 0.0)
        held = 0
        for process in self.processor:
            # Those that ended, and zombies, keep what they had.
            with suppress(psutil.Error), process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
                self.processor[process] = max(self.processor[process], times.user + times.system)
                held += memory.rss - getattr(memory, "shared", 0)
        self.peak_mb = max(self.peak_mb, round(held / 1e6))
        return sum(self.processor.values())

    def end(self) -> None:
        """End all of them, at once: nothing of what they hold is wanted."""
        self.look()
        for process in self.processor:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(list(self.processor), timeout=30)


def race(
    command: Sequence[str], folder: Path, scores: Read, *, cores: int, budget: float, goal: float
) -> Curve:
    """Run a search until it reaches ``goal``, has used its budget, or ends.

    Args:
        command: the search.
        folder: its working directory, which takes its output too.
        scores: yields, for every epoch since the last call, the best score so far of the epoch's trial.
        cores: how many processors it may use.
        budget: processor seconds, its start included.
        goal: a score.

    Raises:
        RuntimeError: it failed, and the message ends with the last line of its output; or its budget did not
            last for one epoch.
    """
    points: list[Point] = []
    epochs, best = 0, -math.inf
    output = folder / "output.txt"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Ray's files go with the folder; and its processes do not meet those of another Ray.
        "RAY_TMPDIR": str(folder),
        # Ray's workers step back for others (nice 15), a process of one's own does not: on a machine that
        # is busy with other work that would decide.
        "RAY_worker_niceness": "0",
        # PyTorch's second thread waits for the first one in a loop, for a whole time slice where another
        # program has its core: on a busy machine that took ten times the processor time of one thread.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    # Each library takes the processors that it finds, as for a user.
    environment.pop("OMP_NUM_THREADS", None)
    started = time.perf_counter()
    with output.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=partial(_keep_to, cores),
        )
    family = Family(process.pid)
    try:
        while True:
            code = process.poll()
            processor = family.look()
            before = epochs
            for score in scores():
                epochs, best = epochs + 1, max(best, score)
            seconds = time.perf_counter() - started
            if epochs > before:
                points.append(Point(round(seconds, 2), round(processor, 2), epochs, best))
            if code is not None or best >= goal or processor >= budget:
                break
            time.sleep(_INTERVAL)
    finally:
        family.end()
        process.wait()
    if code:
        last = output.read_text().strip().splitlines()[-1:]
        raise RuntimeError(f"{' '.join(command)} ended with exit code {code}: {' '.join(last)}")
    if not points:
        raise RuntimeError(f"{' '.join(command)} trained no epoch in {processor:.0f} processor seconds.")
    return Curve(tuple(points), round(seconds, 2), round(processor, 2), family.peak_mb)


def _keep_to(cores: int) -> None:
    """Keep this process, and what it starts, to the first processors that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
