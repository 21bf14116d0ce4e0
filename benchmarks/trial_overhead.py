"""What a trial costs beyond its training: ``python -m benchmarks.trial_overhead [--json]``.

Both cases evaluate the same number of trivial trials, one at a time, on a Ray that is already running.
``plain_tune`` is a Tune function trainable with OptunaSearch, as Ray's guide shows it; ``gisearch_warm`` is
a gisearch sweep on the tiny demo cell with MLflow tracking, of which the training itself is subtracted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gisearch.search.cluster import ray_session


def plain_tune(trials: int) -> tuple[float, float]:
    """Return the seconds per trial of plain Tune function trials, and the standard start-up's share."""
    from ray import tune
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    def objective(config: dict[str, float]) -> None:
        tune.report({"score": config["x"]})

    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(objective, {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(
                metric="score",
                mode="max",
                search_alg=ConcurrencyLimiter(OptunaSearch(), max_concurrent=1),
                num_samples=trials,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        started = time.perf_counter()
        tuner.fit()
        return (time.perf_counter() - started) / trials, 0.0


def gisearch_warm(trials: int) -> tuple[float, float]:
    """Return the seconds per trial of a sweep beyond training, and the training seconds per trial.

    The first trial is left out: it starts the worker, which the others reuse.
    """
    from gisearch.search.plan import plan_sweep
    from gisearch.search.results import load_results
    from gisearch.search.sweep import run_sweep

    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.yaml"
        space.write_text("space:\n  optimizer.lr: {float: [1.0e-3, 1.0e-2], log: true}\n")
        plan = plan_sweep(
            space,
            [
                "data=demo_tiny",
                "trainer.max_epochs=3",
                "model.hidden_dim=8",
                f"search.trials={trials + 1}",
                "search.concurrency=1",
                "search.sampler=random",
                f"results.dir={folder}/results",
                f"tracking.uri=sqlite:///{folder}/mlflow.db",
            ],
        )
        outcome = run_sweep(plan, console=Console(quiet=True))
        rows = sorted(load_results(outcome.results.folder).rows, key=lambda row: row.number)
        spans = [row.facts["ended"] for row in rows]
        training = sum(row.seconds for row in rows[1:])
        return (spans[-1] - spans[0] - training) / trials, training / trials


CASES = {"plain_tune": plain_tune, "gisearch_warm": gisearch_warm}


def measure(trials: int) -> dict[str, Any]:
    """Run every case in one session and return the benchmark's object."""
    import psutil

    rows = []
    with ray_session():
        reference = None
        for name, case in CASES.items():
            seconds, training = case(trials)
            reference = seconds if reference is None else reference
            peak = sum(
                p.memory_info().rss for p in [psutil.Process(), *psutil.Process().children(recursive=True)]
            )
            rows.append(
                {
                    "case": name,
                    "seconds": round(seconds, 4),
                    "ratio": round(reference / seconds, 2),
                    "peak_mb": round(peak / 1e6),
                    "training_seconds": round(training, 4),
                    "trials": trials,
                }
            )
    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    return {"benchmark": "trial_overhead", "machine": machine, "rows": rows}


def main() -> None:
    """Run the benchmark and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial_overhead", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="trials per case")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    result = measure(arguments.trials)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    table = Table("case", "seconds per trial", "times faster", "peak MB", title="overhead of a trial")
    for row in result["rows"]:
        table.add_row(row["case"], f"{row['seconds']:.3f}", f"{row['ratio']:.1f}", str(row["peak_mb"]))
    Console().print(table)


if __name__ == "__main__":
    main()
