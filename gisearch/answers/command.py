"""What ``gisearch.confirm`` and ``gisearch.ablate`` have in common."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from gisearch.command_line import pasteable, terminal
from gisearch.composition import parse_overrides
from gisearch.errors import ConfigError
from gisearch.files import local_path

if TYPE_CHECKING:
    from gisearch.answers.inquiry import Inquiry


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that both commands have."""
    parser.add_argument("name", help="the sweep's name in the results folder, or its folder")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="keys of search and tracking for these trainings"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="fresh seeds (default: 5)")
    parser.add_argument("--results-dir", default="results", metavar="DIR", help="the results folder")
    parser.add_argument(
        "--again", action="store_true", help="train anew and replace what an earlier call found"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything, show what would be trained, start nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")


def results_dir_of(arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the results folder and the other overrides; ``results.dir=DIR`` is ``--results-dir DIR``."""
    given: Sequence[str] = arguments.overrides
    read = parse_overrides([o for o in given if o.startswith("results.dir=")])
    folders = [str(local_path(str(folder))) for folder in read.values()]
    rest = [o for o in given if not o.startswith("results.dir=")]
    return (folders[-1] if folders else arguments.results_dir), rest


def check_count(option: str, value: int, low: int = 1) -> None:
    """Check a number on the command line.

    Raises:
        ConfigError: it is too small.
    """
    if value < low:
        raise ConfigError(f"{option}: expected a number of at least {low}, got {value}.")


def carry_out(inquiry: Inquiry, arguments: argparse.Namespace) -> int:
    """Answer a question, or show its stored answer; returns the exit code.

    Raises:
        GisearchError: something is wrong; nothing was started.
    """
    from gisearch.answers.findings import Findings, findings_path
    from gisearch.answers.publication import publish
    from gisearch.answers.showing import print_comparison, print_findings, print_next, print_unfinished

    # Of --json nothing else goes to the standard output.
    console = terminal(stderr=arguments.json)
    found = None if arguments.dry_run else inquiry.stored(again=arguments.again)
    is_new = found is None
    if found is not None:
        console.print(
            f"Found on {found.made[:10]} and shown again; nothing was trained, and the test split was "
            "evaluated once, then.",
            style="dim",
            highlight=False,
        )
    else:
        comparison = inquiry.prepare(again=arguments.again)
        print_comparison(comparison, console)
        if arguments.dry_run:
            console.print("dry run: nothing was started.", highlight=False)
            return 0
        answer = inquiry.answer(comparison, console)
        if not isinstance(answer, Findings):
            print_unfinished(answer, console)
            if answer.trouble or not answer.interrupted:
                return 1
            return 128 + (answer.signal or signal.SIGINT)
        found = answer
    results = inquiry.source.results
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print_findings(found, results, console)
        print_next(results, found, findings_path(results.folder, inquiry.choice), console)
    if is_new:
        publish(results, console)
    else:
        console.print(f"Report: {pasteable('report', results.handle)}", highlight=False, soft_wrap=True)
    return 0 if any(candidate.test is not None for candidate in found.candidates) else 1
