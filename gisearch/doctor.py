"""``python -m gisearch.doctor``: can this machine run a sweep, and what is to be done where it cannot?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gisearch.command_line import run, terminal

if TYPE_CHECKING:
    from gisearch.checkup.finding import Finding

_STYLES = {"OK": "green", "NOTE": "yellow", "PROBLEM": "bold red"}
_WIDTHS = (7, 9)


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch doctor",
        description="Say whether this machine can run a sweep: one line for everything that it needs, with "
        "what to do where that is missing.",
        epilog="Exit code 0 where a sweep can run, 1 where a PROBLEM would stop it.",
    )
    result.add_argument(
        "overrides", nargs="*", metavar="key=value", help="keys of results, search and tracking"
    )
    result.add_argument(
        "--start", action="store_true", help="really start Ray, or join it, and stop it again"
    )
    result.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: an override is wrong.
    """
    arguments = parser().parse_args(list(argv))
    # Rich is one of the packages that may be missing: then, and then only, lines are plain.
    show = _silent if arguments.json else _shower()
    from gisearch.checkup.finding import State, verdict

    findings = []
    for finding in _findings(arguments.overrides, start=arguments.start):
        findings.append(finding)
        show(finding)
    can_run = all(finding.state is not State.PROBLEM for finding in findings)
    if arguments.json:
        checks = [{"check": f.check, "state": str(f.state), "text": f.text} for f in findings]
        print(json.dumps({"can_run": can_run, "verdict": verdict(findings), "checks": checks}, indent=1))
    else:
        print(verdict(findings))
    return 0 if can_run else 1


def _findings(overrides: Sequence[str], *, start: bool) -> Iterator[Finding]:
    """Yield the findings as they are made; what others need comes first."""
    from gisearch.checkup.finding import State, examine
    from gisearch.checkup.libraries import check_packages, check_python, check_scatter

    yield examine("python", check_python)
    packages = examine("packages", check_packages)
    yield packages
    try:
        from gisearch.checkup import machine, services
    except ImportError:
        if packages.state is not State.PROBLEM:
            raise
        # Nothing else can be looked at without them.
        return
    settings = services.Settings.of(overrides)
    yield examine("scatter", check_scatter)
    yield examine("cpu", machine.check_processors)
    yield examine("memory", machine.check_memory)
    yield examine("temporary", machine.check_temporary)
    yield examine("home", machine.check_home)
    yield examine("locale", machine.check_locale)
    yield examine("proxy", machine.check_proxy)
    yield examine("results", lambda: services.check_results(settings))
    yield examine("tracking", lambda: services.check_store(settings))
    yield examine("gpu", services.check_gpu)
    yield examine("trials", lambda: services.check_trials(settings))
    yield examine("data", services.check_data)
    yield examine("ray", lambda: services.check_ray_start(settings, start=start))


def _shower() -> Callable[[Finding], None]:
    """Return what shows a finding in one line."""
    state_width, check_width = _WIDTHS
    try:
        from rich.text import Text

        console = terminal(highlight=False)
    except ImportError:
        return lambda f: print(f"{f.state:{state_width}}  {f.check:{check_width}}  {f.text}", flush=True)

    def show(finding: Finding) -> None:
        line = Text(f"{finding.state:{state_width}}", style=_STYLES[finding.state])
        line.append(f"  {finding.check:{check_width}}  {finding.text}", style="default")
        console.print(line, soft_wrap=True)

    return show


def _silent(finding: Finding) -> None:
    """Show nothing yet."""


if __name__ == "__main__":
    sys.exit(run(main))
