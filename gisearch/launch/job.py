"""The sweep that a launch sends away: checked here first, because there every minute costs money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gisearch.resources import find_search_space

_HERE_ONLY = ("cluster=", "cluster.")


@dataclass(frozen=True)
class SweepJob:
    """A sweep that was checked and can be sent away.

    Attributes:
        name: the sweep's name, and the launch's.
        space: the search-space file.
        overrides: the sweep's overrides; the cluster's own come first, and ``name`` is not among them.
        workers: processes of one trial.
        gpus_per_worker: GPUs reserved for each of them.
        cpus_per_worker: processors reserved for each of them.
        results: the results folder, as configured.
    """

    name: str
    space: Path
    overrides: tuple[str, ...]
    workers: int
    gpus_per_worker: float
    cpus_per_worker: float
    results: str = "results"

    def arguments(self, space: str, *extra: str) -> list[str]:
        """Return the arguments of ``gisearch.sweep``: start it, or go on where it was started before.

        Args:
            space: the search-space file's path where the sweep runs.
            extra: further overrides, such as where results go there.
        """
        return ["--continue", space, *self.overrides, *extra, f"name={self.name}"]


def split_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the cluster's overrides and the sweep's."""
    ours = [o for o in overrides if o.startswith(_HERE_ONLY)]
    return ours, [o for o in overrides if o not in ours]


def check_job(space: str, overrides: Sequence[str]) -> SweepJob:
    """Check a sweep as ``gisearch sweep --continue --dry-run`` does.

    Args:
        space: a search-space file, or the name of a shipped one.
        overrides: the sweep's overrides.

    Raises:
        ConfigError: what is wrong with it.
    """
    from gisearch.search.plan import plan_sweep
    from gisearch.sweep import continued_plan

    path = find_search_space(space)
    plan, _ = continued_plan(plan_sweep(path, list(overrides)))
    kept = tuple(o for o in overrides if not o.startswith("name="))
    search = plan.config.search
    return SweepJob(
        name=plan.config.name,
        space=path,
        overrides=kept,
        workers=plan.config.trainer.workers,
        gpus_per_worker=search.gpus_per_worker,
        cpus_per_worker=search.cpus_per_worker,
        results=plan.config.results.dir,
    )
