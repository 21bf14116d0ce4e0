"""``gisearch VERB ...``: the same as ``python -m gisearch.VERB ...``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from gisearch import __version__
from gisearch.command_line import run
from gisearch.errors import ConfigError, nearest_name

VERBS = {
    "sweep": "search for the best configuration (python -m gisearch.sweep)",
    "train": "train one configuration",
    "report": "leaderboard, which choices mattered, and one page with everything",
    "ui": "browse a sweep's trials in MLflow, best first",
    "confirm": "retrain the best configurations with fresh seeds, score them on the test split",
    "ablate": "is one choice worth its cost? paired retrainings around the best configuration",
    "ensemble": "average the trained models of a sweep, where that predicts better",
    "predict": "score genotypes, or screen all pairs or triples, with a trained model",
    "launch": "run a sweep on a cluster: SLURM, a cloud, machines over SSH",
    "doctor": "can this machine run a sweep? what to do where it cannot",
    "data": "fetch, build and inspect data",
}
# Verbs whose code is a package of its own.
_PACKAGES = ("data", "launch")


def dispatch(argv: Sequence[str]) -> int:
    """Run the verb that ``argv`` begins with.

    Raises:
        ConfigError: there is no such verb.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: gisearch VERB ...\n")
        for verb, what in VERBS.items():
            print(f"  {verb:8} {what}")
        print("\n`gisearch VERB --help` describes each.")
        return 0
    if argv[0] == "--version":
        print(f"gisearch {__version__}")
        return 0
    verb, *rest = argv
    if verb not in VERBS:
        raise ConfigError(
            f"unknown verb {verb!r}; expected one of {', '.join(VERBS)}.{nearest_name(verb, VERBS)}"
        )
    module = importlib.import_module(f"gisearch.{verb}" + (".__main__" if verb in _PACKAGES else ""))
    code: int | None = module.main(rest)
    return code or 0


def main() -> int:
    """Entry point of the ``gisearch`` command."""
    return run(dispatch)


if __name__ == "__main__":
    sys.exit(main())
