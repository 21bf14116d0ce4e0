"""What the program ``ray`` says of its jobs, read from what it prints."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED", "GONE"})
_SENTENCES = {
    "PENDING": "waits for the head to start it",
    "RUNNING": "runs",
    "SUCCEEDED": "finished",
    "STOPPED": "was stopped",
    "GONE": "is unknown to the cluster, whose Ray was started again since; launch it again to go on",
}
# One line for each job; what the job printed comes later in it, with its own quotes escaped.
_DETAILS = re.compile(r"JobDetails\(.*?submission_id='([^']+)'.*?status=<JobStatus\.(\w+)")
_CODE = re.compile(r"driver_exit_code=(-?\d+)\)[,\]]*$")
# Ray's own words around a job's output.
_RAYS = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+\s+\w+ (?:cli|sdk)\.py:\d+ -- (.*)")
_ENDS = {"succeeded": "SUCCEEDED", "failed": "FAILED", "was stopped": "STOPPED"}


@dataclass(frozen=True)
class Job:
    """How far a job is.

    Attributes:
        status: what Ray calls it; ``GONE`` where Ray does not know it.
        code: its exit code; None where it has none.
    """

    status: str
    code: int | None = None

    @property
    def sentence(self) -> str:
        """What to tell of it, without a subject."""
        if self.status == "FAILED":
            return "failed" if self.code is None else f"failed with exit code {self.exit_code}"
        return _SENTENCES.get(self.status, self.status.lower())

    @property
    def exit_code(self) -> int:
        """The exit code for who waited for it, signals as a shell counts them."""
        if self.status == "SUCCEEDED":
            return 0
        if self.status == "STOPPED":
            return 128 + signal.SIGTERM
        if self.code is None:
            return 1
        return self.code if self.code >= 0 else 128 - self.code


def jobs_of(text: str) -> dict[str, Job]:
    """Return the jobs that ``ray job list`` printed, by submission id."""
    jobs = {}
    for line in text.splitlines():
        if found := _DETAILS.search(line):
            code = _CODE.search(line.rstrip())
            jobs[found[1]] = Job(found[2], int(code[1]) if code else None)
    return jobs


class JobLog:
    """Tells a job's output from what ``ray job logs`` prints around it.

    Args:
        name: the job's submission id.

    Attributes:
        job: how it ended; None until Ray has said so.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.job: Job | None = None
        self._begun = self._over = False

    def shown(self, line: str) -> str | None:
        """Return a line if it is the job's own; None if it is not."""
        if not self._begun:
            self._begun = line.startswith(f"Running entrypoint for job {self.name}:")
            return None
        rays = _RAYS.match(line)
        if rays is None and not self._over:
            return line
        self._over = True
        if rays is not None:
            for words, status in _ENDS.items():
                if rays[1].startswith(f"Job '{self.name}' {words}"):
                    self.job = Job(status)
            if self.job is not None and (code := re.search(r"failed with exit code (-?\d+)", rays[1])):
                self.job = Job(self.job.status, int(code[1]))
        return None
