"""``python -m gisearch.sweep SPACE.yaml [key=value ...]``: search for the best configuration."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gisearch.command_line import run, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from gisearch.search.plan import SweepPlan

# Keys that a sweep may change when it goes on: its trials are not compared on them.
_FREE = ("search.", "results.", "tracking.")


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch sweep",
        description="Search for the best configuration of a model.",
        epilog="Overrides are Hydra's: data=yeast data.root=PATH search.trials=40 trainer.max_epochs=50. "
        "A value given to a searched key takes that key out of the search.",
    )
    result.add_argument("space", nargs="?", help="a search-space file, or the name of a shipped one")
    result.add_argument("overrides", nargs="*", metavar="key=value", help="configuration overrides")
    result.add_argument("--resume", metavar="NAME", help="continue an interrupted sweep")
    result.add_argument(
        "--add-trials", type=int, metavar="N", help="with --resume: evaluate N more configurations"
    )
    result.add_argument(
        "--continue",
        dest="go_on",
        action="store_true",
        help="resume the sweep where its folder exists already; for jobs that a scheduler starts again",
    )
    result.add_argument(
        "--dry-run", action="store_true", help="check everything, show the plan, start nothing"
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the input is wrong; nothing was started.
    """
    arguments = parser().parse_intermixed_args(list(argv))
    overrides = list(arguments.overrides)
    if arguments.space is not None and "=" in arguments.space:
        overrides.insert(0, arguments.space)
        arguments.space = None
    if arguments.space is None and arguments.resume is None:
        parser().error("a search-space file is required, such as search_spaces/dango_gi.yaml")
    if arguments.space is not None and arguments.resume is not None:
        parser().error("--resume continues a sweep with its own search space; leave out the file")
    if arguments.go_on and arguments.space is None:
        parser().error("--continue needs the search-space file")
    if arguments.add_trials is not None and (arguments.resume is None or arguments.add_trials < 1):
        parser().error("--add-trials takes a number above 0 and needs --resume NAME")

    from gisearch.resources import find_search_space
    from gisearch.search.plan import plan_sweep

    console = terminal()
    folder = None
    if arguments.resume is not None:
        plan, folder = _resumed_plan(arguments.resume, overrides, arguments.add_trials)
    else:
        plan = plan_sweep(find_search_space(str(arguments.space)), overrides)
        if arguments.go_on:
            plan, folder = continued_plan(plan)
    if arguments.dry_run:
        _show_plan(plan, console)
        return 0
    for note in plan.notes:
        console.print(f"note: {note}", highlight=False, style="dim")

    from gisearch.search.presentation import print_results, resume_hint
    from gisearch.search.sweep import run_sweep

    outcome = run_sweep(plan, folder, console=console)
    print_results(outcome.results, plan.config.tracking, console)
    for message in outcome.messages:
        console.print(message, style="yellow", highlight=False)
    if plan.config.results.report and outcome.results.best is not None and outcome.trouble is None:
        from gisearch.answers.publication import publish

        publish(outcome.results, console)
    if outcome.interrupted:
        console.print(resume_hint(outcome.results), highlight=False, soft_wrap=True)
        return 1 if outcome.trouble else 128 + (outcome.signal or signal.SIGINT)
    return 0 if outcome.results.best is not None else 1


def _resumed_plan(name: str, overrides: list[str], more: int | None) -> tuple[SweepPlan, Path]:
    from gisearch.composition import parse_overrides
    from gisearch.errors import ConfigError
    from gisearch.search.config import ResultsConfig
    from gisearch.search.folders import SPACE_FILE, find_results, read_facts
    from gisearch.search.origin import found_again
    from gisearch.search.plan import plan_sweep

    given = parse_overrides([o for o in overrides if o.startswith("results.dir=")])
    folder = find_results(name, str(given.get("results.dir", ResultsConfig().dir)))
    # What trials are compared on stays as it was; how long and where the search goes on may change.
    fixed = [o for o in overrides if not o.startswith(_FREE)]
    if fixed:
        raise ConfigError(
            f"{fixed[0]}: a resumed sweep keeps what its trials are compared on; expected keys of search, "
            "results or tracking, or a new sweep."
        )
    facts = read_facts(folder)
    stored: list[str] = facts["overrides"]
    # The last value of a key counts.
    known = list({o.partition("=")[0]: o for o in [*stored, *overrides]}.values())
    plan = plan_sweep(folder / SPACE_FILE, known)
    if more is not None:
        if plan.config.search.exhaustive:
            raise ConfigError(f"--add-trials: {folder} evaluates every configuration of its space already.")
        kept = [o for o in known if not o.startswith("search.trials=")]
        plan = plan_sweep(folder / SPACE_FILE, [*kept, f"search.trials={plan.config.search.trials + more}"])
    return found_again(plan, facts), folder


def continued_plan(plan: SweepPlan) -> tuple[SweepPlan, Path | None]:
    """Return the plan with the folder in which it was begun before; None where it was not.

    Raises:
        ConfigError: the folder holds another sweep.
    """
    from gisearch.errors import ConfigError
    from gisearch.search.folders import SPACE_FILE, SWEEP_FILE, read_facts
    from gisearch.search.origin import found_again

    folder = Path(plan.config.results.dir) / plan.config.name
    if not (folder / SWEEP_FILE).is_file():
        return plan, None
    facts = read_facts(folder)
    before, now = (
        {o for o in overrides if not o.startswith((*_FREE, "name="))}
        for overrides in (facts["overrides"], plan.overrides)
    )
    if (folder / SPACE_FILE).read_bytes() != Path(plan.source).read_bytes():
        raise ConfigError(
            f"--continue: {folder} was begun with another search space; expected another name=NAME."
        )
    if before != now:
        raise ConfigError(
            f"--continue: {folder} was begun with other overrides ({', '.join(sorted(before ^ now))}); "
            "expected the same ones, or another name=NAME."
        )
    return found_again(plan, facts), folder


def _show_plan(plan: SweepPlan, console: Console) -> None:
    from gisearch.search.presentation import print_plan

    print_plan(plan, console)


if __name__ == "__main__":
    sys.exit(run(main))
