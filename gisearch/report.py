"""``python -m gisearch.report NAME``: leaderboard, which choices mattered, figures, and a page of it all."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from gisearch.command_line import run, terminal
from gisearch.files import output_path


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch report",
        description="What a sweep found: shown here, as one HTML page, and in the sweep's MLflow run.",
    )
    result.add_argument("name", help="the sweep's name in the results folder, or its folder")
    result.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else; nothing is written"
    )
    result.add_argument(
        "--output",
        metavar="FILE",
        help="where the HTML file goes (default: report.html in the sweep's folder)",
    )
    result.add_argument("--top", type=int, default=10, metavar="N", help="trials in the leaderboard")
    result.add_argument("--results-dir", default="results", metavar="DIR", help="the results folder")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: there is no such sweep, or the file cannot be written.
    """
    arguments = parser().parse_args(list(argv))
    if arguments.json and arguments.output:
        parser().error("--json prints the results and writes no file; leave out --output")

    from gisearch.search.folders import find_results
    from gisearch.search.results import load_results

    output = output_path(arguments.output, "--output", new_folder=True) if arguments.output else None
    results = load_results(find_results(arguments.name, arguments.results_dir))
    if arguments.json:
        print(json.dumps(results.as_json(), indent=2))
        return 0

    from gisearch.answers.publication import publish
    from gisearch.search.conclusion import draw
    from gisearch.search.presentation import print_effects, print_results

    console = terminal()
    print_results(results, results.tracking, console, top=arguments.top)
    print_effects(results, console)
    writable = os.access(results.folder, os.W_OK)
    drawn = draw(results) if writable else {}
    if drawn:
        console.print("\nFigures:", highlight=False)
        for path in drawn.values():
            console.print(f"  {path}", highlight=False, soft_wrap=True)
    console.print()
    if writable or output is not None:
        publish(results, console, output)
    else:
        console.print(
            f"No page was written: {results.folder} is read-only here; --output FILE writes it elsewhere.",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
