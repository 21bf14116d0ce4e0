"""``python -m gisearch.train [key=value ...]``: train one configuration, as a trial would."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from gisearch.command_line import pasteable, run
from gisearch.errors import GisearchError

if TYPE_CHECKING:
    from gisearch.training.config import ExperimentConfig
    from gisearch.training.loop import EpochReport


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch train",
        description="Train one configuration on the path that a trial takes.",
        epilog="Overrides are Hydra's: model=dango_gi data=demo model.hidden_dim=32 name=first_try.",
    )
    result.add_argument("overrides", nargs="*", metavar="key=value", help="configuration overrides")
    result.add_argument("--config", metavar="FILE", help="a config.yaml that a trial or a training run wrote")
    result.add_argument(
        "--dry-run", action="store_true", help="show the resolved configuration, train nothing"
    )
    result.add_argument("--resume", metavar="NAME", help="continue an interrupted training run")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the input is wrong, or training cannot go on.
    """
    arguments = parser().parse_intermixed_args(list(argv))
    if arguments.resume:
        _require_no_changes(arguments.config, arguments.overrides)

    from gisearch.search.runs import existing_run, new_run, resolve_experiment

    config, whole = resolve_experiment(arguments.config, arguments.overrides)
    folder = None
    if arguments.resume:
        folder, config = existing_run(arguments.resume, whole.results.dir)
    if arguments.dry_run:
        from gisearch.training.config import config_yaml

        print(config_yaml(config), end="")
        return 0

    from gisearch.data.load import load_dataset
    from gisearch.training.experiment import build_model, run_experiment
    from gisearch.training.objective import Objective

    dataset = load_dataset(config.data)
    for line in dataset.report.warnings():
        print(line)
    objective = Objective.resolve(config.objective, dataset.target)
    parameters = build_model(config, dataset).num_parameters()
    folder = folder or new_run(whole.results.dir, whole.name)
    print(
        f"{config.model.name} with {parameters['total']:,} parameters, {_sizes(config, dataset)}; "
        f"writing {folder}"
    )

    def show(epoch: EpochReport) -> None:
        _show(epoch, config, objective.metric)

    if config.trainer.workers > 1:
        from gisearch.search.distributed import train_in_group

        try:
            result = train_in_group(config, dataset, folder, whole.search, show)
        except GisearchError:
            # Nothing was started: nothing is left behind.
            with suppress(OSError):
                folder.rmdir()
            raise
    else:
        result = run_experiment(config, dataset, folder=folder, report=show)
    print(
        f"best {objective.metric} = {result.value:.4f} at epoch {result.best_epoch} of {result.epochs}, "
        f"{result.seconds:.1f} s"
    )
    if dataset.noise_ceiling is not None and objective.metric == "val/pearson":
        print(f"noise ceiling of the data: {dataset.noise_ceiling['val']:.4f}")
    for metric, value in result.subgroups.items():
        print(f"  {metric} = {value:.4f}")
    print(f"Score genotypes with it: {pasteable('predict', folder, 'genotypes.csv', '-o', 'scores.csv')}")
    return 0


def _require_no_changes(config: str | None, overrides: Sequence[str]) -> None:
    from gisearch.errors import ConfigError

    changes = [o for o in overrides if not o.startswith("results.")]
    changes += [f"--config {config}"] if config else []
    if changes:
        raise ConfigError(
            f"--resume continues a run as it was configured; leave out {', '.join(changes)}, "
            "or start a new run."
        )


def _sizes(config: ExperimentConfig, dataset: object) -> str:
    from gisearch.data.dataset import Dataset

    assert isinstance(dataset, Dataset)
    train, val = len(dataset.split.part("train")), len(dataset.split.part("val"))
    return f"{train:,} training and {val:,} validation genotypes of {config.data.source}"


def _show(epoch: EpochReport, config: ExperimentConfig, metric: str) -> None:
    mark = " *" if epoch.best_epoch == epoch.epoch else ""
    value = epoch.metrics[metric]
    print(
        f"epoch {epoch.epoch:>4}/{config.trainer.max_epochs}  train/loss {epoch.metrics['train/loss']:.4f}  "
        f"{metric} {value:.4f}{mark}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(run(main))
