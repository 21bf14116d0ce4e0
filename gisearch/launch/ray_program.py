"""The program ``ray``: called for one cluster, its words kept from the user unless it fails."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from gisearch.errors import ConfigError
from gisearch.launch.launcher import LaunchError

# Says where the output of a command on the head begins.
_MARK = "--- gisearch ---"
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# A line of Ray's log: its time, its level, where it comes from.
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+\s+(\w+) [\w.]+:\d+ -- (.*)")
_STEP = re.compile(r"\[\d/\d\] (?!No )(.+)|(SSH still not available .*?)(?:, retrying.*)?$")
_PLAIN = ("--log-style", "record", "--log-color", "false")
# What stands around the line that says why.
_QUIET = (
    *("Shared connection to", "Connection to", "Warning: Permanently added", "Setup command", "SSH command"),
    *("Start command", "Command failed", "See above", "Failed to setup head node", "ssh -tt", "!!!"),
)


class RayProgram:
    """The program ``ray`` of this environment, or the one in PATH.

    Args:
        file: the cluster's file.

    Raises:
        ConfigError: there is none.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        beside = Path(sys.executable).with_name("ray")
        found = str(beside) if beside.is_file() else shutil.which("ray")
        if found is None:
            raise ConfigError("no program 'ray' here; expected the environment that `make install` makes.")
        self.path = found

    def shown(self, arguments: Sequence[str]) -> str:
        """Return a command as the user may give it."""
        path = self.path
        if shutil.which("ray") == path:
            path = "ray"
        elif Path(path).is_relative_to(Path.cwd()):
            path = str(Path(path).relative_to(Path.cwd()))
        return shlex.join([path, *arguments])

    def exec(self, command: str | Sequence[str]) -> list[str]:
        """Return the arguments that run a command on the head."""
        return ["exec", str(self.file), command if isinstance(command, str) else shlex.join(command)]

    def call(self, arguments: Sequence[str]) -> str:
        """Run ``ray`` and return what it printed.

        Raises:
            LaunchError: it failed; with the line that says why.
        """
        process = self._begin(arguments, subprocess.STDOUT)
        said = _COLOUR.sub("", process.communicate()[0])
        if process.returncode:
            raise LaunchError(f"`{self._brief(arguments)}` failed: {reason(said)}")
        return said

    def on_head(self, command: str | Sequence[str]) -> str:
        """Run a command on the head and return what it printed.

        Raises:
            LaunchError: it failed, or the head does not answer; with the line that says why.
        """
        said = self.call(self.exec(_marked(command)))
        return said.partition(f"\n{_MARK}")[2].partition("\n")[2]

    def lines_on_head(self, command: str | Sequence[str]) -> Iterator[str]:
        """Run a command on the head and return its lines as they come, until it or the connection ends."""
        with TemporaryFile("w+") as errors:
            process = self._begin(self.exec(_marked(command)), errors)
            assert process.stdout is not None
            begun = False
            before = []
            try:
                for line in process.stdout:
                    text = _COLOUR.sub("", line).rstrip("\r\n")
                    if begun:
                        yield text
                    else:
                        before.append(text)
                    begun = begun or text.startswith(_MARK)
            finally:
                process.terminate()
                process.wait()
            if not begun:
                errors.seek(0)
                raise LaunchError(f"the cluster does not answer: {reason(errors.read(), *before)}")

    def watch(self, arguments: Sequence[str], log: Path) -> None:
        """Run ``ray`` for as long as it takes, tell its steps, and keep its output in a file.

        Raises:
            LaunchError: it failed; with the line that says why, and the file.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        said = []
        with log.open("w", encoding="utf-8") as kept:
            process = self._begin(arguments, subprocess.STDOUT)
            assert process.stdout is not None
            told = ""
            try:
                for line in process.stdout:
                    text = _COLOUR.sub("", line)
                    kept.write(text)
                    kept.flush()
                    said.append(text.rstrip())
                    logged = _LOGGED.match(text)
                    step = _STEP.match(logged[2]) if logged else None
                    if step and step[0] != told:
                        told = step[0]
                        print(f"  {(step[1] or step[2]).rstrip('.')} ...", flush=True)
            finally:
                if process.poll() is None and sys.exc_info()[0] is not None:
                    process.terminate()
                process.wait()
        if process.returncode:
            raise LaunchError(f"`{self._brief(arguments)}` failed: {reason(*said)} ({log} has everything)")

    def _begin(self, arguments: Sequence[str], errors: IO[str] | int) -> subprocess.Popen[str]:
        """Start ``ray``; its errors go to a file, or where its output goes."""
        verb, *rest = arguments
        return subprocess.Popen(
            [self.path, verb, *_PLAIN, *rest],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"},
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def _brief(self, arguments: Sequence[str]) -> str:
        return f"ray {arguments[0]} {self.file}"


def reason(*said: str) -> str:
    """Return the line that says why ``ray`` failed."""
    lines = [line.strip() for text in said for line in _COLOUR.sub("", text).splitlines()]
    own = [line for line in lines if line.startswith("error: ")]
    if own:
        return own[-1].removeprefix("error: ")
    plain = []
    for line in lines:
        logged = _LOGGED.match(line)
        if logged and logged[1] not in ("ERR", "PANIC", "ERROR"):
            continue
        text = (logged[2] if logged else line).removeprefix("Error: ").strip()
        if text and not text.startswith(_QUIET):
            plain.append(text)
    return plain[-1] if plain else "no reason given"


def _marked(command: str | Sequence[str]) -> str:
    """Return a command for the head's shell that first prints the mark."""
    text = command if isinstance(command, str) else shlex.join(command)
    return f"echo; echo {shlex.quote(_MARK)}; {text}"
