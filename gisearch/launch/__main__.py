"""``python -m gisearch.launch {slurm,ray} SPACE.yaml [key=value ...]``: run a sweep on a cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gisearch.command_line import run
from gisearch.errors import ConfigError
from gisearch.files import local_path
from gisearch.launch.config import Cluster, RayCluster, SlurmCluster, compose_cluster
from gisearch.launch.launcher import Launcher

KINDS: dict[str, type[SlurmCluster] | type[RayCluster]] = {"slurm": SlurmCluster, "ray": RayCluster}
_LATER = {
    "status": "say what the scheduler says of a launch",
    "follow": "show a launched sweep's output until it ends",
    "fetch": "copy a launched sweep's results here",
    "stop": "have a launched sweep end its epochs and leave; launching it again goes on",
}


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch launch",
        description="Run a sweep on a cluster: through SLURM, or on machines that `ray up` starts.",
    )
    verbs = result.add_subparsers(dest="verb", metavar="VERB", required=True)
    for kind in KINDS:
        verb = verbs.add_parser(
            kind,
            help=f"launch a sweep through {'SLURM' if kind == 'slurm' else 'Ray cluster files'}",
            description="Check a sweep here, then send it to a cluster.",
            epilog="cluster=NAME takes a preset of conf/cluster, cluster.KEY=VALUE changes it; all other "
            "overrides are the sweep's. The same name again goes on where the sweep was stopped.",
        )
        verb.add_argument("space", help="a search-space file, or the name of a shipped one")
        verb.add_argument("overrides", nargs="*", metavar="key=value", help="configuration overrides")
        verb.add_argument(
            "--dry-run", action="store_true", help="show what would be submitted, start nothing"
        )
        verb.add_argument("--follow", action="store_true", help="then show the sweep's output until it ends")
    for name, what in _LATER.items():
        verb = verbs.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        verb.add_argument("name", help="the sweep's name")
        if name == "fetch":
            verb.add_argument("--into", default="results", help="the local results folder (default: results)")
    return result


def launcher_of(cluster: Cluster) -> Launcher:
    """Return what launches on a cluster."""
    if isinstance(cluster, SlurmCluster):
        from gisearch.launch.slurm import SlurmLauncher

        return SlurmLauncher(cluster)
    from gisearch.launch.ray import RayLauncher

    return RayLauncher(cluster)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the input is wrong, and nothing was submitted; or a scheduler refused.
    """
    arguments = _parse(argv)
    return _launch(arguments) if arguments.verb in KINDS else _later(arguments)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; options may stand between overrides, which argparse refuses below a verb."""
    if not argv or argv[0] not in KINDS:
        return parser().parse_args(argv)
    options = [a for a in argv[1:] if a.startswith("-")]
    return parser().parse_args([argv[0], *options, *(a for a in argv[1:] if a not in options)])


def _launch(arguments: argparse.Namespace) -> int:
    from gisearch.launch.job import check_job, split_overrides
    from gisearch.launch.record import find_launch

    ours, theirs = split_overrides(arguments.overrides)
    cluster = compose_cluster(KINDS[arguments.verb], ours)
    launcher = launcher_of(cluster)
    job = check_job(arguments.space, [*cluster.sweep, *theirs])
    if arguments.dry_run:
        print(launcher.show(job))
        print("\ndry run: nothing was submitted.")
        return 0
    earlier = find_launch(job.name)
    if earlier is not None and earlier.kind != cluster.kind:
        raise ConfigError(
            f"{job.name!r} was launched through {earlier.kind} before; expected another name=NAME."
        )
    launch = launcher.submit(job)
    launch.write()
    print(launcher.hints(launch))
    return launcher.follow(launch) if arguments.follow else 0


def _later(arguments: argparse.Namespace) -> int:
    from gisearch.config import build
    from gisearch.launch.record import require_launch

    launch = require_launch(arguments.name)
    launcher = launcher_of(build(KINDS[launch.kind], launch.cluster, "cluster"))
    if arguments.verb == "follow":
        return launcher.follow(launch)
    if arguments.verb == "fetch":
        print(f"results: {launcher.fetch(launch, local_path(arguments.into))}")
    else:
        print(launcher.status(launch) if arguments.verb == "status" else launcher.stop(launch))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
