"""``python -m gisearch.ensemble NAME [NAME ...]``: a sweep's trained models, averaged where that helps."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from gisearch.command_line import pasteable, run, terminal


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch ensemble",
        description="Select an ensemble of a sweep's trained models by the validation part alone, score it "
        "once on the test part beside the best single model, and register it as models:/NAME@ensemble.",
        epilog="Of several sweeps on the same data and split the first one gets the ensemble. The same "
        "command shows again what it found.",
    )
    result.add_argument(
        "names", nargs="+", metavar="NAME", help="a sweep's name in the results folder, or its folder"
    )
    result.add_argument(
        "--top", type=int, default=25, metavar="N", help="candidates, the best models (default: 25)"
    )
    result.add_argument(
        "--rounds",
        "--size",
        type=int,
        default=30,
        metavar="N",
        help="models that selection adds (default: 30)",
    )
    result.add_argument(
        "--start",
        type=int,
        default=5,
        metavar="N",
        help="of them, how many of the best may start (default: 5)",
    )
    result.add_argument(
        "--bags",
        type=int,
        default=20,
        metavar="N",
        help="random halves of the candidates to select from (default: 20; 1 selects once, from all)",
    )
    result.add_argument("--seed", type=int, default=0, metavar="N", help="decides the halves (default: 0)")
    result.add_argument("--results-dir", default="results", metavar="DIR", help="the results folder")
    result.add_argument(
        "--again", action="store_true", help="make another ensemble, and replace what an earlier call found"
    )
    result.add_argument("--json", action="store_true", help="print what was found as one JSON object")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the input is wrong; nothing was written.
    """
    arguments = parser().parse_args(list(argv))

    from gisearch.answers.command import check_count

    for option, low in (("top", 2), ("rounds", 1), ("start", 1), ("bags", 1), ("seed", 0)):
        check_count(f"--{option}", getattr(arguments, option), low)

    from gisearch.answers.ensemble.library import find_sources
    from gisearch.answers.ensemble.making import Request, make_ensemble
    from gisearch.answers.ensemble.registering import register_ensemble
    from gisearch.answers.ensemble.selection import Rules
    from gisearch.answers.ensemble.showing import print_ensemble, print_next
    from gisearch.answers.publication import publish

    # Of --json nothing else goes to the standard output.
    console = terminal(stderr=arguments.json)
    sources = find_sources(arguments.names, arguments.results_dir)
    rules = Rules(rounds=arguments.rounds, start=arguments.start, bags=arguments.bags, seed=arguments.seed)
    found, is_new = make_ensemble(Request(sources, rules, arguments.top), console, again=arguments.again)
    results = sources[0].results
    if not is_new:
        console.print(
            f"Found on {found.made[:10]} and shown again; the test split was evaluated once, then.",
            style="dim",
            highlight=False,
        )
    found, problem = register_ensemble(results, found)
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print_ensemble(found, results, console)
        print_next(found, results, console)
    if problem:
        console.print(problem, style="yellow", highlight=False, soft_wrap=True)
    if is_new:
        publish(results, console)
    else:
        report = pasteable("report", results.handle)
        console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
