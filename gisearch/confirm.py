"""``python -m gisearch.confirm NAME --top 3 --seeds 5``: are the best configurations as good as they look?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gisearch.answers.command import add_options, carry_out, check_count, results_dir_of
from gisearch.command_line import run


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch confirm",
        description="Retrain a sweep's best configurations and its baselines with fresh seeds, then evaluate "
        "them once on the test split, which the search never saw.",
        epilog="An interrupted confirmation goes on with the same command; a finished one is shown again.",
    )
    add_options(result)
    result.add_argument("--top", type=int, default=3, metavar="N", help="best configurations (default: 3)")
    result.add_argument(
        "--splits", type=int, default=0, metavar="N", help="fresh splits (default: 0, the sweep's own)"
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the input is wrong; nothing was started.
    """
    arguments = parser().parse_intermixed_args(list(argv))
    check_count("--top", arguments.top)
    check_count("--seeds", arguments.seeds)
    check_count("--splits", arguments.splits, low=0)

    from gisearch.answers.confirmation import conclude_confirmation, propose_confirmation
    from gisearch.answers.inquiry import Inquiry
    from gisearch.answers.source import Source

    folder, overrides = results_dir_of(arguments)
    source = Source.find(arguments.name, folder, overrides)
    asked = {"top": arguments.top, "seeds": arguments.seeds, "splits": arguments.splits}
    inquiry = Inquiry(
        source=source,
        choice=None,
        asked=asked,
        question=f"Are the best configurations of {source.results.name} as good as the search found them?",
        propose=lambda _: propose_confirmation(source, asked),
        conclude=conclude_confirmation,
    )
    return carry_out(inquiry, arguments)


if __name__ == "__main__":
    sys.exit(run(main))
