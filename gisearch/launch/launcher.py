"""What every way of launching offers, and how its programs are called."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gisearch.errors import ConfigError, GisearchError
from gisearch.launch.job import SweepJob
from gisearch.launch.record import Launch


class LaunchError(GisearchError):
    """A scheduler or launcher refused; its own last line says why."""

    exit_code = 1


class Launcher(Protocol):
    """One way of launching sweeps."""

    def show(self, job: SweepJob) -> str:
        """Return what would be submitted, and the commands that would submit it; starts nothing."""

    def submit(self, job: SweepJob) -> Launch:
        """Submit a sweep; returns what later commands need to know of it.

        Raises:
            LaunchError: it was refused.
        """

    def hints(self, launch: Launch) -> str:
        """Return how to follow, watch, fetch and stop a launch: lines for the user."""

    def status(self, launch: Launch) -> str:
        """Return one line: what the scheduler says of the launch."""

    def follow(self, launch: Launch) -> int:
        """Show the sweep's own output until it ends; returns the exit code for the command line."""

    def fetch(self, launch: Launch, into: Path) -> Path:
        """Copy the sweep's folder into a local results folder; returns where it is."""

    def stop(self, launch: Launch) -> str:
        """Have the sweep end its epochs and leave, to go on later; returns a sentence."""


def call(command: Sequence[str], *, timeout: float | None = None) -> str:
    """Run a program of the cluster's and return what it printed.

    Raises:
        ConfigError: it is not installed.
        LaunchError: it failed; with its own last line.
    """
    require_program(command[0])
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise LaunchError(f"`{shlex.join(command)}` did not answer within {timeout:g} s.") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise LaunchError(f"`{shlex.join(command)}` failed with exit code {done.returncode}: {said}")
    return done.stdout


def require_program(name: str) -> None:
    """Check that a program is installed.

    Raises:
        ConfigError: it is not.
    """
    if shutil.which(name) is None:
        raise ConfigError(f"no program {name!r} here; expected a machine from which the cluster is used.")
