"""Every model with its best known configuration: ``python -m benchmarks results [--data FOLDER] [--json]``.

The models of the registry and three references (``results_peers.py``) are trained one after another in this
process and scored once on the test part: on the yeast tables with a random split and with unseen genes, and
on the demo cell against its noise ceiling. A seed draws the split, the weights, the batches and dropout, so
that intervals hold both; models of one seed share its split, so that differences are paired. The
configurations are in ``best_configurations.yaml``; a model without an entry trains with its preset, and its
row says so.

Every result is appended to a file of JSON lines at once: ``--resume FILE`` goes on from it. A model that
fails has a row with the reason, and ``--resume`` tries it again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch

from benchmarks.report import Options, Report, Row, SkippedError, machine_of, options_of, parser_of
from benchmarks.results_peers import PEERS
from benchmarks.results_runs import Result, ResultFile, run_all
from benchmarks.results_settings import (
    DEFAULT_TASKS,
    TASKS,
    Task,
    best_configurations,
    contenders_of,
    select,
)
from benchmarks.results_table import Standing, require_page, standings, tables, write_page
from gisearch.command_line import run
from gisearch.errors import ConfigError
from gisearch.models.registry import MODELS

SEEDS = 5
REFERENCE = "additive"
NAMES = (*MODELS, *PEERS)


def reachable(wanted: Sequence[str], folder: Path | None) -> tuple[list[Task], dict[str, list[str]]]:
    """Return the tasks whose data is there, and the further overrides of each.

    Raises:
        SkippedError: there is no such folder, or nothing is left.
    """
    if folder is not None and not folder.is_dir():
        raise SkippedError(f"results: there is no folder {str(folder)!r} of yeast tables.")
    tasks = [TASKS[name] for name in wanted if folder is not None or not TASKS[name].needs_folder]
    if not tasks:
        raise SkippedError("results: real yeast data needs the tables; give --data FOLDER.")
    root = [] if folder is None else [f"data.root='{folder.resolve()}'"]
    return tasks, {task.name: root if task.needs_folder else [] for task in tasks}


def measure(
    tasks: Sequence[Task],
    extra: dict[str, list[str]],
    *,
    names: Sequence[str] = NAMES,
    seeds: int = SEEDS,
    file: Path | None = None,
) -> list[Result]:
    """Train and score the named models and peers on every task.

    Raises:
        ConfigError: a configuration or the file is wrong; nothing has started.
        DataError: the data cannot be read.
    """
    configurations = best_configurations()
    asked = {task: contenders_of(task, names, configurations) for task in tasks}
    return run_all(asked, seeds, ResultFile(file), extra=extra)


def report_of(tasks: Sequence[Task], results: Sequence[Result], options: Options, seeds: int) -> Report:
    """Return the results as a benchmark's report: a row per task and model."""
    rows = []
    for task in tasks:
        placed = standings(task, results)
        times = {one.name: _seconds(one, "wall_seconds") for one in placed}
        reference = REFERENCE if times.get(REFERENCE) else placed[0].name
        for one in placed:
            own = times[one.name]
            rows.append(
                Row(
                    case=f"{task.name} {one.name}",
                    seconds=own,
                    ratio=times[reference] / own if own else 0.0,
                    reference=f"{task.name} {reference}",
                    peak_mb=0,
                    processor_seconds=_seconds(one, "processor_seconds"),
                    facts=_facts(one),
                )
            )
    sizes = {"seeds": seeds, "tasks": [task.name for task in tasks]}
    return Report("results", machine_of(options), sizes, tuple(rows))


def _seconds(standing: Standing, what: str) -> float:
    return statistics.fmean([getattr(one, what) for one in standing.scored] or [0.0])


def _facts(standing: Standing) -> dict[str, object]:
    facts: dict[str, object] = {"configuration": standing.kind, "overrides": standing.results[0].overrides}
    facts |= {metric: one.plain() for metric, one in standing.scores.items()}
    if standing.difference is not None:
        facts["against_five_part_kernel"] = standing.difference.plain()
    by_seed = {one.seed: one.scores for one in standing.scored}
    facts |= {"by_seed": by_seed, "parameters": [one.parameters for one in standing.scored]}
    if standing.reasons:
        facts["failed"] = {one.seed: one.reason for one in standing.results if one.reason}
    return facts


def benchmark(options: Options, *, splits: Sequence[str] = DEFAULT_TASKS, seeds: int = SEEDS) -> Report:
    """Run everything whose data is there."""
    torch.set_num_threads(options.threads)
    tasks, extra = reachable(splits, options.yeast)
    return report_of(tasks, measure(tasks, extra, seeds=seeds), options, seeds)


def new_file() -> Path:
    """Return where a run keeps its results that was not told."""
    return Path("results") / f"benchmark-{datetime.now():%Y%m%d-%H%M%S}.jsonl"


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = parser_of("results", __doc__)
    result.add_argument("--data", type=Path, metavar="FOLDER", help="yeast tables, or GISEARCH_YEAST_DATA")
    result.add_argument("--seeds", type=int, default=SEEDS, help="seeds of split and weights: 0, 1, ...")
    result.add_argument("--models", metavar="A,B", help=f"some of {', '.join(NAMES)}")
    result.add_argument("--splits", metavar="A,B", help=f"some of {', '.join(TASKS)}")
    result.add_argument("--resume", type=Path, metavar="FILE", help="keep every result here; repeat none")
    result.add_argument("--out", type=Path, metavar="PAGE", help="put the tables into this page")
    result.add_argument("--picture", type=Path, metavar="FILE", help="draw the tables here")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the benchmark, print the tables and put them where they were asked for; return the exit code.

    Raises:
        GisearchError: the input is wrong, before anything has started.
    """
    arguments = parser().parse_args(list(argv))
    if arguments.seeds < 1:
        raise ConfigError(f"--seeds: expected a number above 0, got {arguments.seeds}.")
    names = select("--models", arguments.models, NAMES, NAMES)
    splits = select("--splits", arguments.splits, tuple(TASKS), DEFAULT_TASKS)
    if arguments.out is not None:
        require_page(arguments.out)
    if arguments.data is None and os.environ.get("GISEARCH_YEAST_DATA"):
        arguments.data = Path(os.environ["GISEARCH_YEAST_DATA"])
    try:
        options = options_of(arguments)
        tasks, extra = reachable(splits, arguments.data)
    except SkippedError as skipped:
        raise ConfigError(str(skipped)) from None
    torch.set_num_threads(options.threads)
    left_out = [name for name in splits if TASKS[name] not in tasks]
    if left_out:
        print(f"left out without --data FOLDER: {', '.join(left_out)}", file=sys.stderr)
    file = arguments.resume or new_file()
    print(f"every result is kept at once; go on after an interruption with --resume {file}", file=sys.stderr)
    results = measure(tasks, extra, names=names, seeds=arguments.seeds, file=file)
    tasks = [task for task in tasks if any(result.task == task.name for result in results)]
    text = tables(tasks, results, arguments.seeds)
    if arguments.json:
        print(json.dumps(report_of(tasks, results, options, arguments.seeds).plain(), indent=2))
    else:
        print(text)
    if arguments.picture is not None:
        from benchmarks.results_picture import draw

        draw({task: standings(task, results) for task in tasks}, arguments.picture)
    if arguments.out is not None:
        write_page(arguments.out, text, arguments.picture)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
