"""``python -m gisearch.ablate NAME --choice model.local_predictor.enabled``: is one choice worth its cost?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from gisearch.answers.command import add_options, carry_out, check_count, results_dir_of
from gisearch.command_line import run


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch ablate",
        description="Change one choice of a sweep's best configuration, everything else equal, and train "
        "each with the same seeds: what is it worth, and what does it cost?",
        epilog="An interrupted ablation goes on with the same command; a finished one is shown again.",
    )
    add_options(result)
    result.add_argument(
        "--choice", required=True, metavar="PATH", help="a key such as model.local_predictor.enabled"
    )
    result.add_argument(
        "--values", metavar="A,B,...", help="values to compare (default: all that were searched)"
    )
    result.add_argument("--of", metavar="TRIAL", help="change this trial's configuration, not the best one")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the input is wrong; nothing was started.
    """
    arguments = parser().parse_intermixed_args(list(argv))
    check_count("--seeds", arguments.seeds)

    from gisearch.answers.ablation import propose_ablation
    from gisearch.answers.ablation_findings import conclude_ablation
    from gisearch.answers.inquiry import Inquiry
    from gisearch.answers.source import Source

    folder, overrides = results_dir_of(arguments)
    source, choice = Source.find(arguments.name, folder, overrides), arguments.choice
    values = None if arguments.values is None else _values(arguments.values)
    asked = {"seeds": arguments.seeds, "values": arguments.values, "of": arguments.of}
    inquiry = Inquiry(
        source=source,
        choice=choice,
        asked=asked,
        question=f"What is {choice} worth around the best configuration of {source.results.name}?",
        propose=lambda dataset: propose_ablation(source, dataset, choice, asked, values),
        conclude=conclude_ablation,
    )
    return carry_out(inquiry, arguments)


def _values(text: str) -> list[Any]:
    from gisearch.composition import parse_overrides

    values: list[Any] = parse_overrides([f"values=[{text}]"])["values"]
    return values


if __name__ == "__main__":
    sys.exit(run(main))
