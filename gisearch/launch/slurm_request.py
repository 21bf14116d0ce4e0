"""What SLURM is asked for: whether a trial fits it, the job's files, the command."""

from __future__ import annotations

import math
import os
import shlex
import sys
from pathlib import Path

from gisearch.errors import ConfigError
from gisearch.launch.config import SlurmCluster
from gisearch.launch.job import SweepJob
from gisearch.launch.record import launch_folder
from gisearch.resources import resource_folder

SPACE, SETUP, SCRIPT = "space.yaml", "setup.sh", "sweep.sbatch"
_EXCLUSIVE = "#SBATCH --exclusive\n"
_OTHER_GPUS = ("--gres", "--gpus", "-G")


def check_size(cluster: SlurmCluster, job: SweepJob) -> None:
    """Check that a trial fits the job, and that GPUs which are paid for are used.

    Raises:
        ConfigError: it does not, or they are not.
    """
    # Then only SLURM knows how many there are.
    if any(option.startswith(_OTHER_GPUS) for option in cluster.options):
        return
    if job.gpus_per_worker and not cluster.gpus_per_node:
        raise ConfigError(
            f"search.gpus_per_worker={job.gpus_per_worker:g} needs GPUs, but cluster.gpus_per_node=0; "
            "expected cluster.gpus_per_node above 0, or search.gpus_per_worker=0."
        )
    if cluster.gpus_per_node and not job.gpus_per_worker:
        raise ConfigError(
            f"cluster.gpus_per_node={cluster.gpus_per_node} would be paid for and not used, for "
            "search.gpus_per_worker=0; expected search.gpus_per_worker=1, or cluster.gpus_per_node=0."
        )
    pairs = ((cluster.gpus_per_node, job.gpus_per_worker), (cluster.cpus_per_node, job.cpus_per_worker))
    places = [math.floor(has / needs + 1e-9) for has, needs in pairs if has and needs]
    room = min(places, default=job.workers) * cluster.nodes
    if room < job.workers:
        raise ConfigError(
            f"a trial needs {job.workers} worker{'s'[: job.workers > 1]} with {job.cpus_per_worker:g} CPU "
            f"and {job.gpus_per_worker:g} GPU each (trainer.workers, search.cpus_per_worker, "
            f"search.gpus_per_worker), but the job has room for {room} (cluster.nodes={cluster.nodes}, "
            f"cluster.cpus_per_node={cluster.cpus_per_node or 'null'}, "
            f"cluster.gpus_per_node={cluster.gpus_per_node})."
        )


def check_writable(results: Path) -> None:
    """Check that a results folder can be written, or made.

    Raises:
        ConfigError: it cannot.
    """
    absolute = results.absolute()
    there = next(path for path in (absolute, *absolute.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            f"results.dir: cannot write to {there}; expected a folder on the shared file system."
        )


def script_text(cluster: SlurmCluster) -> str:
    """Return the job's script."""
    script = (resource_folder("clusters") / "slurm" / SCRIPT).read_text(encoding="utf-8")
    # No option of sbatch takes it back.
    return script if cluster.exclusive else script.replace(_EXCLUSIVE, "")


def setup_text(cluster: SlurmCluster) -> str:
    """Return the shell lines that every machine runs first."""
    # Not resolved: an environment's interpreter is a link to another one.
    folder = Path(cluster.python or sys.executable).parent
    # The environment stands before anything that a module brings.
    return "\n".join([*cluster.setup, f'export PATH={shlex.quote(str(folder))}:"$PATH"', ""])


def inherited() -> list[str]:
    """Return the variables of the allocation that this process runs in; none outside of one.

    ``sbatch`` would hand them on, and in the new job they would contradict its own request.
    """
    if not any(os.environ.get(name) for name in ("SLURM_JOB_ID", "SLURM_JOBID")):
        return []
    return sorted(name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF")


def sbatch_command(cluster: SlurmCluster, job: SweepJob) -> list[str]:
    """Return the command that submits a sweep from the working directory."""
    folder = launch_folder(job.name)
    kind = f"{cluster.gpu_type}:" if cluster.gpu_type else ""
    options = {
        "job-name": job.name,
        "chdir": Path.cwd(),
        "output": folder / "%j.log",
        "export": "ALL",
        "nodes": cluster.nodes,
        "time": cluster.time,
        "signal": f"B:USR1@{cluster.warning_seconds}",
        "cpus-per-task": cluster.cpus_per_node,
        "gpus-per-node": f"{kind}{cluster.gpus_per_node}" if cluster.gpus_per_node else None,
        "mem": cluster.memory,
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
    }
    return [
        "env",
        *(part for name in inherited() for part in ("-u", name)),
        f"GISEARCH_SETUP={(folder / SETUP).absolute()}",
        f"GISEARCH_FOLDER={folder.absolute()}",
        f"GISEARCH_MAX_REQUEUES={cluster.max_requeues}",
        "sbatch",
        "--parsable",
        *(f"--{key}={value}" for key, value in options.items() if value is not None),
        *cluster.options,
        str(folder / SCRIPT),
        # The script itself goes on with a sweep that was begun.
        *job.arguments(str(folder / SPACE))[1:],
    ]
