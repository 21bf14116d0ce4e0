"""All benchmarks by one command: ``python -m benchmarks [NAME ...]``.

Every figure is a ratio of two cases measured in the same run. Without names all of them run, one after
another; ``--list`` says what each measures and how long it takes on two quiet cores.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.baseline import Comparison, compare, save
from benchmarks.report import Options, Report, SkippedError, options_of, parser_of, show
from gisearch.command_line import run
from gisearch.errors import ConfigError, nearest_name

BENCHMARKS = {
    "perturbation": "a training step by encoding of deletions, against masked copies in PyG (2 min)",
    "large_cell": "training steps a second on nine networks, and what memory would allow (2 min)",
    "dango_pretraining": "reconstructing networks, against dense N x N matrices (2 min)",
    "diffusion_sampling": "samples of the diffusion head, against one genotype after another (1 min)",
    "data": "building, caching and holding data; the loader's share of a step (1 min)",
    "screening": "scoring very many candidates (2 min)",
    "kernel": "the kernel model: fitting 12,000 and 400,000 pairs, scoring all pairs of a cell (4 min)",
    "scatter": "GATv2 with and without torch-scatter (1 min)",
    "start": "imports, help and checking a space, against importing PyTorch (1 min)",
    "trial_overhead": "what a trial costs beyond its training, against Ray's own recipes (8 min)",
    "search_scale": "what the search itself costs per trial as trials add up (2 min)",
    "search_quality": "time to a validation score, against random search on Tune and Optuna alone (60 min)",
    "simulated_quality": "the same searches on a simulated clock, without start and machine (1 min)",
}

# Commands with options of their own, which are asked for by name only.
COMMANDS = {
    "results": "every model with its best configuration on test parts; its own --help (hours)",
}


def main(argv: Sequence[str]) -> int:
    """Run the benchmarks asked for; return the exit code.

    Raises:
        ConfigError: there is no such benchmark.
        DataError: a baseline cannot be read or written.
    """
    if argv and argv[0] in COMMANDS:
        command: Callable[[Sequence[str]], int] = importlib.import_module(f"benchmarks.{argv[0]}").main
        return command(argv[1:])
    parser = parser_of("", __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all by default")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the ratios as a baseline")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="compare with a baseline")
    parser.add_argument(
        "--yeast", type=Path, metavar="FOLDER", help="tables of yeast, or GISEARCH_YEAST_DATA"
    )
    parser.add_argument("--sweep", action="store_true", help="'start' starts a sweep too (1 min more)")
    arguments = parser.parse_args(list(argv))
    if arguments.list:
        for name, what in {**BENCHMARKS, **COMMANDS}.items():
            print(f"{name:18} {what}")
        return 0
    for name in arguments.names:
        if name in COMMANDS:
            raise ConfigError(f"{name} has options of its own: give it as the first and only name.")
        if name not in BENCHMARKS:
            raise ConfigError(
                f"unknown benchmark {name!r}; expected one of {', '.join(BENCHMARKS)}."
                f"{nearest_name(name, BENCHMARKS)}"
            )
    if arguments.compare:
        # A wrong file is known before minutes have passed.
        compare(arguments.compare, ())
    try:
        options = options_of(arguments)
    except SkippedError as missing:
        raise ConfigError(str(missing)) from None
    if options.yeast is None and os.environ.get("GISEARCH_YEAST_DATA"):
        options = replace(options, yeast=Path(os.environ["GISEARCH_YEAST_DATA"]))
    reports, skipped = run_all(arguments.names or list(BENCHMARKS), options, as_json=arguments.json)
    comparison = compare(arguments.compare, reports) if arguments.compare else None
    if arguments.save:
        save(arguments.save, reports)
    if arguments.json:
        content = {"reports": [report.plain() for report in reports], "skipped": skipped}
        if comparison:
            content["comparison"] = comparison.plain()
        print(json.dumps(content, indent=2))
    elif comparison:
        show_comparison(comparison)
    return 0


def run_all(names: Sequence[str], options: Options, *, as_json: bool) -> tuple[list[Report], dict[str, str]]:
    """Run benchmarks, showing each where JSON does not; return their reports, and why others were skipped."""
    reports: list[Report] = []
    skipped: dict[str, str] = {}
    for name in names:
        benchmark: Callable[[Options], Report] = importlib.import_module(f"benchmarks.{name}").benchmark
        try:
            report = benchmark(options)
        except SkippedError as reason:
            skipped[name] = str(reason)
            print(f"skipped: {reason}", file=sys.stderr, flush=True)
            continue
        reports.append(report)
        if not as_json:
            show(report, as_json=False)
    return reports, skipped


def show_comparison(comparison: Comparison) -> None:
    """Print one line per case, and what could not be compared."""
    for line in (*comparison.changes, *comparison.notes):
        print(line)


if __name__ == "__main__":
    sys.exit(run(main))
