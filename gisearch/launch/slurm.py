"""Launching through SLURM: one job that starts Ray on its machines and runs the sweep on the first."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from gisearch.composition import parse_overrides
from gisearch.errors import ConfigError
from gisearch.files import write_whole
from gisearch.launch.config import SlurmCluster
from gisearch.launch.job import SweepJob
from gisearch.launch.launcher import LaunchError, call, require_program
from gisearch.launch.record import Launch, find_launch, launch_folder
from gisearch.launch.slurm_request import (
    SCRIPT,
    SETUP,
    SPACE,
    check_size,
    check_writable,
    sbatch_command,
    script_text,
    setup_text,
)
from gisearch.search.config import ResultsConfig

# What `squeue` says of jobs that will not run again; of a job that it forgot it says that its id is invalid.
_ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)
_FORGOTTEN = "Invalid job id"
# Seconds between looks at the log, and between questions to SLURM, which serves everybody.
_LOOK, _ASK = 0.5, 10.0


class SlurmLauncher:
    """Launches sweeps as SLURM jobs.

    Args:
        cluster: the job's size and limits.
    """

    def __init__(self, cluster: SlurmCluster) -> None:
        self.cluster = cluster

    def show(self, job: SweepJob) -> str:
        """Return the files of a launch and the command that would submit it; starts nothing.

        Raises:
            ConfigError: a trial would not fit the job.
        """
        check_size(self.cluster, job)
        folder = launch_folder(job.name)
        texts = {SCRIPT: script_text(self.cluster), SETUP: setup_text(self.cluster)}
        shown = [f"--- {folder / name}\n{text.rstrip()}" for name, text in texts.items()]
        return "\n\n".join([*shown, f"--- submitted by\n{shlex.join(sbatch_command(self.cluster, job))}"])

    def submit(self, job: SweepJob) -> Launch:
        """Submit a sweep as a job; one that was submitted before goes on.

        Raises:
            ConfigError: a trial would not fit the job, the results folder cannot be written, the sweep's
                earlier job has not ended, or there is no SLURM here.
            LaunchError: SLURM refused it.
        """
        check_size(self.cluster, job)
        require_program("sbatch")
        earlier = find_launch(job.name)
        if earlier is not None and (state := self._state(earlier)) is not None:
            raise ConfigError(
                f"{job.name!r} is still in the queue as job {earlier.job} ({state.lower()}); expected it to "
                f"end first (gisearch launch stop {job.name}), or another name=NAME."
            )
        check_writable(Path(job.results))
        folder = launch_folder(job.name)
        write_whole(folder / SPACE, job.space.read_text(encoding="utf-8"))
        write_whole(folder / SETUP, setup_text(self.cluster))
        write_whole(folder / SCRIPT, script_text(self.cluster))
        command = sbatch_command(self.cluster, job)
        try:
            said = call(command)
        except LaunchError as error:
            reason = str(error).rpartition(" failed with exit code ")[2]
            raise LaunchError(f"sbatch refused the job with exit code {reason}") from None
        return Launch(
            name=job.name,
            kind=self.cluster.kind,
            # With several clusters SLURM answers ID;CLUSTER.
            job=said.strip().partition(";")[0],
            results=str(Path(job.results).absolute() / job.name),
            cluster=asdict(self.cluster),
            command=command,
            overrides=list(job.overrides),
        )

    def hints(self, launch: Launch) -> str:
        """Return how to follow, watch and stop a launch: lines for the user."""
        lines = {
            "follow": f"gisearch launch follow {launch.name}",
            "queue": f"squeue -j {launch.job}",
            "log": str(_log(launch)),
            "results": launch.results,
            "report": f"gisearch report {shlex.quote(_handle(launch))}",
            "MLflow": _where_runs_are(launch),
            "stop": f"gisearch launch stop {launch.name}",
        }
        shown = [f"  {what:<8} {how}" for what, how in lines.items()]
        return "\n".join([f"{launch.name}: submitted as SLURM job {launch.job}.", *shown])

    def status(self, launch: Launch) -> str:
        """Return one line: where in the queue the job is, or how it ended."""
        if (state := self._state(launch)) is None:
            return f"{launch.name}: job {launch.job} {_ending(launch)}"
        said = call(["squeue", "-h", "--states=all", "-j", launch.job, "-o", "%r|%M|%l|%N"]).strip()
        reason, used, limit, nodes = said.partition("\n")[0].split("|")
        where = f"on {nodes}, {used} of {limit}" if nodes else f"waiting: {reason}"
        return f"{launch.name}: job {launch.job} is {state.lower()} ({where})"

    def follow(self, launch: Launch) -> int:
        """Show the job's log as it grows, until the job ends; returns the sweep's exit code.

        Ctrl-C ends the showing, not the job.
        """
        try:
            self._show_log(launch)
        except KeyboardInterrupt:
            print(f"\nno longer followed; job {launch.job} goes on (gisearch launch follow {launch.name}).")
            return 0
        code = _exit_code(launch)
        print(f"{launch.name}: job {launch.job} {_ending(launch)}")
        return 1 if code is None else code

    def _show_log(self, launch: Launch) -> None:
        place, asked, state, last = 0, -_ASK, None, ""
        while True:
            # Asked before the log is read, so that the log's end is seen.
            if time.monotonic() - asked >= _ASK:
                state, asked = self._state(launch), time.monotonic()
                if state == "PENDING" != last:
                    print(self.status(launch), file=sys.stderr, flush=True)
                last = state or ""
            place = _copy_new(_log(launch), place, sys.stdout)
            if state is None:
                return
            time.sleep(_LOOK)

    def fetch(self, launch: Launch, into: Path) -> Path:
        """Return the sweep's folder, copied into another results folder where that is not its own.

        Raises:
            LaunchError: the sweep has not begun.
        """
        source, target = Path(launch.results), into / launch.name
        if not source.is_dir():
            raise LaunchError(f"{source} is not there yet: {self.status(launch)}.")
        if target.resolve() != source.resolve():
            shutil.copytree(source, target, dirs_exist_ok=True)
        return target

    def stop(self, launch: Launch) -> str:
        """Have the sweep end its epochs and leave, not to be queued again; a job that waits is cancelled.

        Raises:
            LaunchError: SLURM refused.
        """
        state = self._state(launch)
        if state is None:
            return f"{launch.name}: nothing to stop, job {launch.job} {_ending(launch)}"
        write_whole(_job_folder(launch) / "stop", "")
        # Without effect where it has just begun to run.
        call(["scancel", "--state=PENDING", launch.job])
        if state != "PENDING" or self._state(launch) is not None:
            call(["scancel", "--signal=USR1", "--batch", launch.job])
            return (
                f"{launch.name}: job {launch.job} was told to leave: its trials end their epoch "
                "(search.grace_seconds at most); launching it again goes on."
            )
        return f"{launch.name}: job {launch.job} was waiting and is cancelled; launching it again goes on."

    def _state(self, launch: Launch) -> str | None:
        """Return what SLURM says of a job; None where it will not run again."""
        try:
            said = call(["squeue", "-h", "--states=all", "-j", launch.job, "-o", "%T"], timeout=60)
        except LaunchError as error:
            if _FORGOTTEN in str(error):
                return None
            raise
        state = said.strip().partition("\n")[0]
        return None if not state or state in _ENDED else state


def _where_runs_are(launch: Launch) -> str:
    """Return how to look at the sweep's runs; a server's address may hold a password."""
    given = parse_overrides([o for o in launch.overrides if o.startswith("tracking.uri=")]).values()
    uri = str([os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db", *given][-1])
    if not uri.startswith("sqlite:"):
        return "on the tracking server"
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def _handle(launch: Launch) -> str:
    """Return what finds the sweep's results from the working directory."""
    usual = Path(ResultsConfig().dir).absolute() / launch.name
    return launch.name if Path(launch.results) == usual else launch.results


def _job_folder(launch: Launch) -> Path:
    return launch.folder / f"job-{launch.job}"


def _log(launch: Launch) -> Path:
    return launch.folder / f"{launch.job}.log"


def _exit_code(launch: Launch) -> int | None:
    """Return the sweep's exit code; None where the job did not live to write it."""
    try:
        return int((_job_folder(launch) / "exit_code").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _ending(launch: Launch) -> str:
    """Return how a job ended, as the rest of a sentence."""
    code = _exit_code(launch)
    if code == 0:
        return f"ended; results: {launch.results}"
    if code == 143:
        return "left when it was told to; launching it again goes on"
    if code is None:
        return f"ended before the sweep did; its log is {_log(launch)}, launching it again goes on"
    return f"ended with exit code {code}; its log is {_log(launch)}"


def _copy_new(path: Path, place: int, out: TextIO) -> int:
    """Print what a file has from a place on; returns its new end."""
    try:
        with path.open("rb") as file:
            file.seek(place)
            new = file.read()
    except FileNotFoundError:
        return place
    out.write(new.decode(errors="replace"))
    out.flush()
    return place + len(new)
