"""A stand-in for the program `ray`: it records what it is asked for and answers what a test gave it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from gisearch.launch.__main__ import main
from gisearch.launch.config import RayCluster
from gisearch.launch.record import Launch
from gisearch.resources import resource_folder

SHIPPED = resource_folder("clusters") / "onprem.yaml"
SPACE = """
name: hunt
base: [model=dango_gi, data=demo_tiny]
space:
  optimizer.lr: {float: [1.0e-3, 1.0e-2], log: true}
search: {trials: 2, scheduler: none}
"""
FILLED = {
    "# head_ip: 192.168.1.10": "head_ip: 10.77.0.1",
    "# worker_ips: [192.168.1.11, 192.168.1.12]": "worker_ips: [10.77.0.2]",
    "# ssh_user: ubuntu": "ssh_user: root",
    "# ssh_private_key: ~/.ssh/gisearch": "ssh_private_key: key",
}
# Records its arguments, runs nothing, and answers what the files of its folder say.
FAKE = """#!{python}
import json, pathlib, sys
here = pathlib.Path({folder!r})
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
words = " ".join(sys.argv[1:])
for answer in sorted(here.glob("*.answer")):
    key, code, text = json.loads(answer.read_text())
    if key in words:
        print("2026-11-21 18:25:40,831\\tINFO commands.py:422 -- Checking Local environment settings")
        if "--- gisearch ---" in words:
            print("\\n--- gisearch ---")
        print(text)
        sys.exit(code)
if "--- gisearch ---" in words:
    print("\\n--- gisearch ---")
"""
NOT_UP = "Error: Head node of cluster (gisearch-onprem) not found!"
DETAILS = (
    "2026-11-21 18:32:28,561\tINFO cli.py:600 -- [JobDetails(type=<JobType.SUBMISSION: 'SUBMISSION'>, "
    "job_id=None, submission_id='{name}', driver_info=None, status=<JobStatus.{status}: '{status}'>, "
    "entrypoint=\"bash -c 'x'\", message='said submission_id=\\'z\\' status=<JobStatus.RUNNING', "
    "driver_exit_code={code})]"
)


class Fake:
    """The program `ray` of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answer(self, key: str, text: str, code: int = 0) -> None:
        number = len(list(self.folder.glob("*.answer")))
        # The newest answer to a call counts.
        (self.folder / f"{99 - number}.answer").write_text(json.dumps([key, code, text]))

    def jobs(self, **statuses: str) -> None:
        lines = [
            DETAILS.format(name=name.replace("_", "-"), status=status, code="None")
            for name, status in statuses.items()
        ]
        self.answer("ray job list", "\n".join(lines))

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        plain = ("--log-style", "record", "--log-color", "false")
        return [[word for word in json.loads(line) if word not in plain] for line in lines]

    @property
    def verbs(self) -> list[str]:
        return [call[0] for call in self.calls]


def launch(*more: str) -> int:
    return main(["ray", "space.yaml", "cluster.file=mine.yaml", *more])


def write_launch(*overrides: str) -> None:
    """Record a launch as `submit` does."""
    Launch(
        name="hunt",
        kind="ray",
        job="hunt-1",
        results="/shared/results/hunt",
        cluster=asdict(RayCluster(file="mine.yaml")),
        command=[],
        overrides=list(overrides),
    ).write()


def values_with(**changes: Any) -> str:
    values = yaml.safe_load(Path("mine.yaml").read_text())
    for key, value in changes.items():
        group, _, name = key.partition("__")
        values[group] = value if not name else {**values[group], name: value}
    return str(yaml.safe_dump(values))
