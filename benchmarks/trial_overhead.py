"""What a trial costs beyond its training: ``python -m benchmarks.trial_overhead [--json] [--trials 20]``.

Every case evaluates trivial trials one at a time, in a process and on a Ray of its own.

- ``plain_tune``: a Tune function trainable with OptunaSearch, as Ray's guide shows it.
- ``gisearch_warm``: a gisearch sweep on the tiny demo cell with MLflow tracking, of which the training
  itself is subtracted; ``start`` is what the first trial costs more, until its first epoch has ended.
- ``nested_recipe``: a Tune function that starts a TorchTrainer of two workers, as Ray's guide shows it.
- ``gisearch_ddp``: the sweep with two workers per trial.

``times faster`` compares each sweep with the recipe of its kind: warm with plain, DDP with nested. The memory
is the driver's.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.report import Options, Report, finish, measure, options_of, parser_of


def plain_tune(trials: int) -> Mapping[str, Any]:
    """Return the seconds per trial of plain Tune function trials."""
    from ray import tune

    from gisearch.search.cluster import ray_session

    def objective(config: dict[str, float]) -> None:
        tune.report({"score": config["x"]})

    with ray_session():
        return _tune(objective, {"cpu": 1}, trials)


def nested_recipe(trials: int) -> Mapping[str, Any]:
    """Return the seconds per trial of Tune function trials that start a TorchTrainer of two workers."""
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    from gisearch.search.cluster import ray_session

    def work(config: dict[str, float]) -> None:
        train.report({"score": config["x"]})

    def objective(config: dict[str, float]) -> None:
        TorchTrainer(
            work,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(num_workers=2),
            run_config=train.RunConfig(
                name=tune.get_context().get_trial_id(),
                storage_path=tempfile.gettempdir(),
                callbacks=[TuneReportCallback()],
            ),
        ).fit()

    # The recipe needs the State API, or its reservations stay behind.
    with ray_session(state_api=True):
        return _tune(objective, {"memory": 1.0}, trials)


def _tune(objective: Any, resources: Mapping[str, float], trials: int) -> Mapping[str, Any]:
    from ray import tune
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(objective, dict(resources)),
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
        results = tuner.fit()
        assert len(results) == trials
        assert not results.errors, results.errors
        return {
            "seconds": (time.perf_counter() - started) / trials,
            "trials": trials,
        }


def sweep(trials: int, *overrides: str) -> Mapping[str, Any]:
    """Return the seconds per trial of a sweep beyond training, without the first trial."""
    from rich.console import Console

    from gisearch.search.plan import plan_sweep
    from gisearch.search.sweep import run_sweep

    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.yaml"
        space.write_text("space:\n  optimizer.lr: {float: [1.0e-3, 1.0e-2], log: true}\n")
        settings = [
            "data=demo_tiny",
            "trainer.max_epochs=3",
            "model.hidden_dim=8",
            f"search.trials={trials + 1}",
            "search.concurrency=1",
            "search.sampler=random",
            f"results.dir={folder}/results",
            f"tracking.uri=sqlite:///{folder}/mlflow.db",
        ]
        started = time.time()
        outcome = run_sweep(plan_sweep(space, [*settings, *overrides]), console=Console(quiet=True))
        rows = sorted(outcome.results.rows, key=lambda row: row.number)
        assert all(row.status == "finished" for row in rows)
        ends = [row.facts["ended"] for row in rows]
        training = sum(row.seconds for row in rows[1:])
        seconds = (ends[-1] - ends[0] - training) / trials
        return {
            "seconds": seconds,
            "trials": trials,
            "training": round(training / trials, 4),
            "start": round(ends[0] - started - rows[0].seconds - seconds, 2),
        }


def benchmark(options: Options, trials: int = 20) -> Report:
    """Measure every case; the recipe with nested trainers runs a fifth of the trials."""
    options.require_cpu("trial_overhead")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cases = {
        "plain_tune": partial(plain_tune, trials),
        "gisearch_warm": partial(sweep, trials),
        "nested_recipe": partial(nested_recipe, max(2, trials // 5)),
        "gisearch_ddp": partial(sweep, trials, "trainer.workers=2"),
    }
    references = {"nested_recipe": "nested_recipe", "gisearch_ddp": "nested_recipe"}
    return measure("trial_overhead", cases, options, sizes={"trials": trials}, references=references)


def main() -> int:
    """Run the benchmark and print it."""
    parser = parser_of("trial_overhead", __doc__)
    parser.add_argument("--trials", type=int, default=20, help="trials per case (nested: a fifth)")
    arguments = parser.parse_args()
    return finish(lambda: benchmark(options_of(arguments), arguments.trials), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
