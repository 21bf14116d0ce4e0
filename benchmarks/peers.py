"""The other ways to search, as a user would write them down: ``python -m benchmarks.peers NAME ...``.

- ``random_tune``: uniform random configurations as Tune function trials, a process per trial, two at a time.
- ``sequential_optuna``: Optuna's default sampler, asked and told in one process, one trial after another.

Both search the space of a search-space file and train with gisearch's own loop, so that they differ from a
sweep in how they search alone. They write neither checkpoints nor runs of MLflow, and start no dashboard,
all of which would only cost them time. After every epoch a line is appended to a file: the trial, the epoch,
and its best validation score so far.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gisearch.data.dataset import Dataset
    from gisearch.search.plan import SweepPlan
    from gisearch.search.space import Assignment
    from gisearch.training.loop import EpochReport

CORES = 2


def random_configurations(plan: SweepPlan, count: int, seed: int) -> list[Assignment]:
    """Return configurations that are drawn uniformly at random from the plan's conditional space."""
    import optuna

    from gisearch.search.sampling import suggest_with
    from gisearch.seeding import child_seed

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler(seed=child_seed(seed, "random_tune") % 2**32)
    study = optuna.create_study(sampler=sampler)
    return [plan.space.sample(suggest_with(study.ask())) for _ in range(count)]


def writing(path: str, trial: int, then: Callable[[EpochReport], None]) -> Callable[[EpochReport], None]:
    """Return a report that writes down an epoch's line before it goes on to ``then``."""

    def report(epoch: EpochReport) -> None:
        line = json.dumps({"trial": trial, "epoch": epoch.epoch, "value": epoch.best_value})
        # Opened to append: one short write, which processes that write at the same time do not tear.
        with Path(path).open("a") as file:
            file.write(f"{line}\n")
        then(epoch)

    return report


def random_tune(plan: SweepPlan, trials: int, seed: int, path: str) -> None:
    """Search with plain Ray Tune: no searcher, no scheduler."""
    import ray
    from ray import tune

    from gisearch.config import to_plain
    from gisearch.data.load import load_dataset

    experiments = [
        {"number": number, "values": to_plain(plan.configure(assignment, plan.config.seed))}
        for number, assignment in enumerate(random_configurations(plan, trials, seed))
    ]
    # Not whatever cluster runs on this machine.
    ray.init("local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    trainable = tune.with_parameters(_train, dataset=load_dataset(plan.config.data), path=path)
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"experiment": tune.grid_search(experiments)},
        tune_config=tune.TuneConfig(metric="score", mode="max"),
        run_config=tune.RunConfig(storage_path=str(Path(path).parent / "tune"), verbose=0),
    ).fit()


def _train(config: dict[str, Any], dataset: Dataset, path: str) -> None:
    from ray import tune

    from gisearch.config import build
    from gisearch.training.config import ExperimentConfig
    from gisearch.training.experiment import run_experiment

    def tell(epoch: EpochReport) -> None:
        tune.report({"score": epoch.best_value})

    experiment = config["experiment"]
    report = writing(path, experiment["number"], tell)
    run_experiment(build(ExperimentConfig, experiment["values"]), dataset, report=report)


def sequential_optuna(plan: SweepPlan, trials: int, seed: int, path: str) -> None:
    """Search with Optuna alone; a trial that cannot be trained is told as failed."""
    import optuna
    import torch

    from gisearch.data.load import load_dataset
    from gisearch.errors import GisearchError
    from gisearch.search.sampling import suggest_with
    from gisearch.training.experiment import run_experiment

    torch.set_num_threads(CORES)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dataset = load_dataset(plan.config.data)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(trials):
        trial = study.ask()
        config = plan.configure(plan.space.sample(suggest_with(trial)), plan.config.seed)
        try:
            result = run_experiment(config, dataset, report=writing(path, trial.number, lambda epoch: None))
        except GisearchError:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, result.value)


PEERS = {"random_tune": random_tune, "sequential_optuna": sequential_optuna}


def main(argv: Sequence[str]) -> int:
    """Run one peer."""
    from gisearch.search.plan import plan_sweep

    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("space", type=Path, help="the search-space file")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", required=True, help="the file that takes a line per epoch")
    arguments = parser.parse_intermixed_args(list(argv))
    plan = plan_sweep(arguments.space, arguments.overrides)
    PEERS[arguments.name](plan, arguments.trials, arguments.seed, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
