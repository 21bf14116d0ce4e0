"""How long until something happens: ``python -m benchmarks start [--json] [--sweep]``.

Each case is a new Python process, but ``space_check``, which checks a sweep in one where everything is
imported, and ``space_alone``, the same with its configuration composed before: compiling and validating the
space. They are compared with importing PyTorch, which a command that only answers should not do. ``sweep``,
only if asked for, is from the command to the first trial's first epoch.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.report import Options, Report, measure, run_alone
from benchmarks.timing import spread_of, timing

SPACE = Path(__file__).parent.parent / "search_spaces" / "dango_gi.yaml"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "import_torch": ("-c", "import torch"),
    "python": ("-c", ""),
    "import_gisearch": ("-c", "import gisearch"),
    "help": ("-m", "gisearch", "--help"),
    "sweep_help": ("-m", "gisearch.sweep", "--help"),
    "dry_run": ("-m", "gisearch.sweep", str(SPACE), "--dry-run", "data=demo_tiny"),
}


def command_case(arguments: tuple[str, ...], repeats: int) -> dict[str, Any]:
    """Measure a command; its processor time is that of the processes it started."""
    walls, processors = [], []
    for repeat in range(repeats + 1):
        wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if repeat:  # the first one finds the files on the disk
            walls.append(time.perf_counter() - wall)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            processors.append(used)
    middle = len(walls) // 2
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "seconds": sorted(walls)[middle],
        "spread": spread_of(walls),
        "processor_seconds": sorted(processors)[middle],
        "peak_mb": peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6,
    }


def space_case(repeats: int, *, composed: bool) -> dict[str, Any]:
    """Measure checking a sweep, or only what comes after composing its configuration."""
    from unittest.mock import patch

    from gisearch.search import plan
    from gisearch.search.model_options import compose_models
    from gisearch.search.space_file import SpaceFile

    overrides = ["data=demo_tiny"]
    ready = compose_models(SpaceFile.read(SPACE), overrides)
    with patch.object(plan, "compose_models", lambda *_: ready) if composed else nullcontext():
        return timing(lambda: plan.plan_sweep(SPACE, overrides), repeats=repeats, warmup=2)


def sweep_case() -> dict[str, Any]:
    """Measure a sweep of one trial and one epoch, until that epoch has been reported."""
    with tempfile.TemporaryDirectory() as folder:
        settings = [
            "data=demo_tiny",
            "search.trials=1",
            "trainer.max_epochs=1",
            "model.hidden_dim=16",
            "tracking.register=false",
            "results.report=false",
            f"results.dir={folder}/results",
            f"tracking.uri=sqlite:///{folder}/mlflow.db",
        ]
        started = time.time()
        subprocess.run(
            [sys.executable, "-m", "gisearch.sweep", str(SPACE), *settings],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"},
        )
        in_all = time.time() - started
        kept = [path.stat().st_mtime for path in Path(folder, "results").rglob("best.pt")]
        return {"seconds": min(kept) - started, "until_the_end": in_all}


def benchmark(options: Options) -> Report:
    """Measure every case."""
    options.require_cpu("start")
    cases: dict[str, Any] = {
        name: partial(command_case, arguments, options.repeats) for name, arguments in COMMANDS.items()
    }
    cases["space_check"] = partial(space_case, options.repeats, composed=False)
    cases["space_alone"] = partial(space_case, options.repeats, composed=True)
    if options.sweep:
        cases["sweep"] = sweep_case
    return measure("start", cases, options, sizes={"space": SPACE.name})


if __name__ == "__main__":
    sys.exit(run_alone("start", __doc__, benchmark))
