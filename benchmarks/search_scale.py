"""What the search itself costs per trial: ``python -m benchmarks.search_scale [--trials N] [--json]``.

Ledger, searcher, scheduler, tracker, housekeeper and progress view of a sweep run a conditional space over
simulated trials (``simulated_trials.py``): no cluster, no training. Every row is a block of trials. Times are
real milliseconds of the driver's thread per trial, each part without the parts that it calls; while the
tracker's own thread writes, both share one interpreter, so ``cpu_ms`` shows what the driver itself computed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from optuna.samplers import RandomSampler, TPESampler
from rich.console import Console

from benchmarks.meter import Meter
from benchmarks.mlflow_ui import open_ui
from benchmarks.report import Options, Report, Row, finish, machine_of, options_of, parser_of
from benchmarks.simulated_trials import Simulation
from gisearch.data.load import load_dataset
from gisearch.search.budget import Budget
from gisearch.search.housekeeping import Housekeeper
from gisearch.search.leaving import Leaving
from gisearch.search.ledger import Ledger
from gisearch.search.observer import Observer
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.progress import ProgressView
from gisearch.search.recorder import Recorder, start_tracking, sweep_question
from gisearch.search.scheduler import build_judge
from gisearch.search.searcher import LedgerSearcher
from gisearch.search.study import STUDY_FILE, open_study
from gisearch.search.supervision import SupervisedScheduler, Supervisor
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.store import Store, open_store
from gisearch.training.objective import Objective

SPACE = Path(__file__).parent.parent / "search_spaces" / "dango_gi.yaml"
PARTS = ("sampler", "ledger", "scheduler", "tracker", "rest")
_SAMPLER_STEPS = ("infer_relative_search_space", "sample_relative", "sample_independent", "before_trial")


def run(
    trials: int,
    sampler: str,
    folder: Path,
    *,
    block: int = 1000,
    concurrency: int = 16,
    seed: int = 0,
    options: Options | None = None,
) -> Report:
    """Run the simulated sweep in ``folder``; return a row per block of trials, in seconds per trial.

    Args:
        trials: trials of the sweep.
        sampler: ``tpe`` or ``random``.
        folder: an empty folder, for the sweep and its MLflow store.
        block: trials per row.
        concurrency: simulated trials at a time.
        seed: decides the trials and their curves.
        options: what was asked of all benchmarks; describes the machine.
    """
    plan = plan_sweep(
        SPACE,
        [
            "data=demo_tiny",
            "trainer.max_epochs=12",
            f"search.trials={trials}",
            f"search.sampler={sampler}",
            f"search.seed={seed}",
            f"tracking.uri=sqlite:///{folder}/mlflow.db",
        ],
    )
    store = open_store(plan.config.tracking)
    assert store is not None
    meter = Meter()
    machine = machine_of(options or Options())
    tracker, rows = _simulate(plan, store, folder, meter, block=block, concurrency=concurrency)
    started = time.perf_counter()
    report = tracker.finish("finished", {}, {})
    drain = time.perf_counter() - started
    started = time.perf_counter()
    reopened = Ledger(open_study(folder, folder.name, _OBJECTIVE), plan.space, plan.config.search)
    reopening = time.perf_counter() - started
    return Report(
        benchmark="search_scale",
        machine=machine,
        sizes={"trials": trials, "sampler": sampler, "block": block, "concurrency": concurrency},
        rows=tuple(_row(measured, rows[0]) for measured in rows),
        facts={
            "trials": reopened.handed_out,
            "drain_seconds": round(drain, 2),
            "writes": {
                "delivered": report.delivered,
                "spooled": report.spooled,
                "message": report.message,
            },
            "reopen_seconds": round(reopening, 2),
            "ui": open_ui(store, str(tracker.parent_run_id), folder),
        },
    )


def _row(measured: dict[str, Any], first: dict[str, Any]) -> Row:
    """Return a block's row; its ratio says how the time per trial has changed since the first block."""
    seconds, reference = (sum(block[f"{part}_ms"] for part in PARTS) / 1e3 for block in (measured, first))
    facts = {name: value for name, value in measured.items() if name not in ("trials", "resident_mb")}
    return Row(
        case=f"{measured['trials']} trials",
        seconds=seconds,
        ratio=reference / seconds,
        reference=f"{first['trials']} trials",
        peak_mb=measured["resident_mb"],
        processor_seconds=measured["cpu_ms"] / 1e3,
        facts=facts,
    )


_OBJECTIVE = Objective("val/pearson", "max")


def _simulate(
    plan: SweepPlan, store: Store, folder: Path, meter: Meter, *, block: int, concurrency: int
) -> tuple[SweepTracker, list[dict[str, Any]]]:
    """Run every trial of the plan as a sweep does; return the tracker, still open, and the rows."""
    study = open_study(folder, folder.name, _OBJECTIVE)
    ledger = Ledger(study, plan.space, plan.config.search, baselines=plan.baselines, seed=plan.config.seed)
    tracker = SweepTracker(store, folder)
    dataset = load_dataset(plan.config.data)
    start_tracking(tracker, folder, plan, sweep_question(folder, plan, dataset, _OBJECTIVE), resumed=False)
    simulation = Simulation(
        plan.space, max_epochs=plan.max_epochs, concurrency=concurrency, seed=plan.config.search.seed
    )
    view = ProgressView(Console(quiet=True), _OBJECTIVE, plan.config.search.trials, notice=tracker.notice)
    budget = Budget(study, plan.config.search, gpus=0.0, clock=lambda: simulation.now)
    judge = build_judge(plan.config.search, mode="max", max_epochs=plan.max_epochs)
    supervisor = Supervisor(plan.config.search, judge, budget, Leaving(0.0), clock=lambda: simulation.now)
    observers: list[Observer] = [
        budget,
        Recorder(tracker, _OBJECTIVE),
        view,
        Housekeeper(folder, plan, study),
        simulation,
    ]
    searcher = LedgerSearcher(plan, ledger, folder, observers, supervisor)
    scheduler = SupervisedScheduler(supervisor, searcher.numbers)
    rows: list[dict[str, Any]] = []
    process = psutil.Process()
    with ExitStack() as stack:
        for kind in (TPESampler, RandomSampler):
            stack.enter_context(meter.watching(kind, "sampler", *_SAMPLER_STEPS))
        stack.enter_context(meter.watching(ledger, "ledger", "next", "report", "finish"))
        on_trial = ("on_trial_add", "on_trial_result", "on_trial_complete", "on_trial_error")
        stack.enter_context(meter.watching(scheduler, "scheduler", *on_trial))
        stack.enter_context(meter.watching(tracker, "tracker", "start_trial", "log_metrics", "end_trial"))
        suggest = ("suggest", "on_trial_result", "on_trial_complete")
        stack.enter_context(meter.watching(searcher, "rest", *suggest))
        stack.enter_context(view)
        before, cpu, ended = dict.fromkeys(PARTS, 0.0), 0.0, 0
        more = True
        while more:
            more = simulation.step(searcher, scheduler)
            if simulation.ended == ended or (more and simulation.ended % block):
                continue
            count, ended = simulation.ended - ended, simulation.ended
            rows.append(
                {
                    "trials": ended,
                    **{
                        f"{part}_ms": round(1e3 * (meter.seconds[part] - before[part]) / count, 3)
                        for part in PARTS
                    },
                    "cpu_ms": round(1e3 * (meter.cpu - cpu) / count, 3),
                    "resident_mb": round(process.memory_info().rss / 1e6),
                    "waiting_writes": tracker.pending,
                    "journal_mb": round((folder / STUDY_FILE).stat().st_size / 1e6, 2),
                    "database_mb": round((folder / "mlflow.db").stat().st_size / 1e6, 2),
                }
            )
            # A long run shows how far it is.
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            before, cpu = {part: meter.seconds[part] for part in PARTS}, meter.cpu
    return tracker, rows


def benchmark(
    options: Options, trials: int = 1000, sampler: str = "random", block: int | None = None
) -> Report:
    """Run the simulated sweep in a folder that is removed afterwards."""
    options.require_cpu("search_scale")
    with tempfile.TemporaryDirectory() as folder:
        return run(trials, sampler, Path(folder), block=block or max(1, trials // 4), options=options)


def main() -> int:
    """Run the benchmark and print it."""
    parser = parser_of("search_scale", __doc__)
    parser.add_argument("--trials", type=int, default=10_000, help="trials of the simulated sweep")
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe")
    parser.add_argument("--block", type=int, default=1000, help="trials per row")
    arguments = parser.parse_args()
    return finish(
        lambda: benchmark(options_of(arguments), arguments.trials, arguments.sampler, arguments.block),
        as_json=arguments.json,
    )


if __name__ == "__main__":
    sys.exit(main())
