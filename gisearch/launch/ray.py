"""Sweeps on clusters that ``ray up`` makes: they run on the head as Ray jobs, which need no connection."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from gisearch.files import write_whole
from gisearch.launch.cluster_file import LOCAL, ClusterFile, read_cluster_file
from gisearch.launch.config import RayCluster, cluster_file
from gisearch.launch.job import SweepJob
from gisearch.launch.launcher import LaunchError
from gisearch.launch.local_state import keep_state, restore_state
from gisearch.launch.ray_job import ENDED, Job, JobLog, jobs_of
from gisearch.launch.ray_program import RayProgram
from gisearch.launch.record import Launch, find_launch, launch_folder
from gisearch.tracking.provenance import COMMIT_VARIABLE, known_commit

_DATABASE = "mlflow.db"
_UPLOAD = "upload"
_RUN = "run.sh"
_SPACE = "space.yaml"


class RayLauncher:
    """Sends sweeps to a cluster that ``ray up`` makes from a file.

    Args:
        cluster: the cluster.

    Raises:
        ConfigError: its file is not there, not complete, or needs what is not installed.
    """

    def __init__(self, cluster: RayCluster) -> None:
        self.cluster = cluster
        self.file: ClusterFile = read_cluster_file(cluster_file(cluster))
        self.ray = RayProgram(self.file.path)

    def show(self, job: SweepJob) -> str:
        """Return the cluster's file, what would run on its head, and the commands; starts nothing."""
        earlier = find_launch(job.name)
        submission = f"{job.name}-{_number(earlier) + 1}"
        commands = [self._up(), self._upload(job.name), self.ray.exec(self._submit(job.name, submission))]
        return "\n".join(
            [
                f"# {self.file.path}",
                self.file.text.rstrip(),
                "",
                f"# {launch_folder(job.name) / _UPLOAD / job.name / _RUN}",
                self._script(job).rstrip(),
                "",
                "# commands",
                *(self.ray.shown(command) for command in commands),
            ]
        )

    def submit(self, job: SweepJob) -> Launch:
        """Start the cluster where no sweep runs on it, and submit a sweep.

        Raises:
            LaunchError: the cluster does not start, the sweep runs there already, or Ray refused it.
        """
        restore_state(self.file)
        here = launch_folder(job.name)
        print(f"asking for the cluster {self.file.cluster_name!r} ...", flush=True)
        jobs = self._jobs()
        running = [name for name, found in (jobs or {}).items() if found.status not in ENDED]
        same = [name for name in running if name.rpartition("-")[0] == job.name]
        if same:
            raise LaunchError(
                f"{job.name!r} runs on the cluster already ({same[0]}); stop it, or take another name=NAME."
            )
        if running:
            # `ray up` would end Ray and the sweep; without a restart only the head would get new code.
            print(f"{', '.join(running)} runs there: the cluster stays as it is, with the code that it has.")
        else:
            log = here / "ray_up.log"
            print(f"starting the cluster (ray up, log in {log}) ...", flush=True)
            self.ray.watch(self._up(), log)
            keep_state(self.file, here)
        self._write_upload(job, here / _UPLOAD)
        print("submitting the sweep ...", flush=True)
        self.ray.call(self._upload(job.name))
        numbers = [_number_of(name) for name in (jobs or {}) if name.rpartition("-")[0] == job.name]
        submission = f"{job.name}-{max([_number(find_launch(job.name)), *numbers]) + 1}"
        self.ray.on_head(self._submit(job.name, submission))
        return Launch(
            name=job.name,
            kind="ray",
            job=submission,
            results=f"{self.cluster.results.rstrip('/')}/{job.name}",
            cluster=asdict(self.cluster),
            command=self._submit(job.name, submission),
            overrides=list(job.overrides),
        )

    def hints(self, launch: Launch) -> str:
        """Return how to follow, watch, fetch and stop a launch, and how to end the cluster."""
        python, shown = f"{_remote(self.cluster.python)}", self.ray.shown
        ui = (
            f"cd {_remote(self.cluster.project)} && {python} -m mlflow ui --backend-store-uri {self._store()}"
        )
        watch = (
            shown(["exec", str(self.file.path), ui, "-p", "5000"])
            if self.cluster.tracking_uri is None
            else shown(["attach", str(self.file.path), "-p", "5000"])
        )
        rows = {
            "follow": f"gisearch launch follow {launch.name}    (it goes on without you)",
            "status": f"gisearch launch status {launch.name}",
            "results": f"gisearch launch fetch {launch.name}",
            "stop": f"gisearch launch stop {launch.name}    (launch it again to go on)",
            "MLflow": f"{watch}    then http://127.0.0.1:5000",
            "Ray": f"{shown(['dashboard', str(self.file.path)])}    then http://127.0.0.1:8265; "
            "`ray get-auth-token` on the head prints the token it asks for",
            "end": shown(["down", str(self.file.path)])
            + ("" if self.file.provider == LOCAL else "    (until then machines cost money)"),
        }
        return "\n".join(
            [f"{launch.name} runs as {launch.job}", *(f"  {name:8}{line}" for name, line in rows.items())]
        )

    def status(self, launch: Launch) -> str:
        """Return one line: what Ray says of the launch."""
        return f"{launch.name} ({launch.job}): {self._job(launch).sentence}"

    def follow(self, launch: Launch) -> int:
        """Show the sweep's output from its beginning until it ends; returns the sweep's exit code.

        Raises:
            LaunchError: the connection ended before the sweep did.
        """
        restore_state(self.file)
        log = JobLog(launch.job)
        try:
            for line in self.ray.lines_on_head(
                ["ray", "job", "logs", "-f", "--log-style=record", launch.job]
            ):
                if (text := log.shown(line)) is not None:
                    print(text, flush=True)
        except KeyboardInterrupt:
            print(f"\n{launch.name} goes on; `gisearch launch follow {launch.name}` shows it again.")
            return 130
        job = log.job or self._job(launch)
        if job.status not in ENDED:
            raise LaunchError(
                f"the connection to the cluster ended, {launch.name!r} goes on; "
                f"`gisearch launch follow {launch.name}` shows it again."
            )
        if job.status != "SUCCEEDED":
            print(f"{launch.job} {job.sentence}", file=sys.stderr)
        return job.exit_code

    def fetch(self, launch: Launch, into: Path) -> Path:
        """Copy the sweep's folder, and MLflow's file where it is one, into a local results folder."""
        restore_state(self.file)
        folder = into / launch.name
        folder.mkdir(parents=True, exist_ok=True)
        self.ray.call(["rsync-down", str(self.file.path), f"{launch.results}/", f"{folder}/"])
        if self.cluster.tracking_uri is None and not any(
            o.startswith(("tracking.uri=", "tracking.enabled=false")) for o in launch.overrides
        ):
            remote = f"{self.cluster.results.rstrip('/')}/{_DATABASE}"
            self.ray.call(["rsync-down", str(self.file.path), remote, str(folder / _DATABASE)])
        return folder

    def stop(self, launch: Launch) -> str:
        """Have Ray send SIGTERM to the sweep, and wait until its trials have ended their epochs."""
        before = self._job(launch)
        if before.status in ENDED:
            return f"{launch.name} ({launch.job}): {before.sentence}; nothing to stop."
        print("stopping (trials end their epoch, in at most search.grace_seconds) ...", flush=True)
        self.ray.on_head(["ray", "job", "stop", "--log-style=record", launch.job])
        return f"{launch.job} was stopped; launch {launch.name!r} again to go on. The cluster runs on."

    def _up(self) -> list[str]:
        return ["up", "-y", "--no-config-cache", str(self.file.path)]

    def _upload(self, name: str) -> list[str]:
        # rsync makes the last folder of a path, no more: the launch's own comes from what is copied.
        source = f"{launch_folder(name) / _UPLOAD}/"
        return ["rsync-up", str(self.file.path), source, f"{self.cluster.project}/launches/"]

    def _submit(self, name: str, submission: str) -> list[str]:
        script = f"cd {_remote(self.cluster.project)} && exec bash launches/{name}/{_RUN}"
        submit = ["ray", "job", "submit", "--no-wait", "--submission-id", submission]
        return [*submit, "--", "bash", "-c", script]

    def _store(self) -> str:
        """Return the MLflow store of sweeps that name no other."""
        own = f"sqlite:///{self.cluster.results.rstrip('/')}/{_DATABASE}"
        return shlex.quote(self.cluster.tracking_uri or own)

    def _script(self, job: SweepJob) -> str:
        """Return what runs on the head, as the job."""
        results = shlex.quote(self.cluster.results)
        sweep = job.arguments(f"launches/{job.name}/{_SPACE}", f"results.dir={self.cluster.results}")
        lines = [
            f"# The sweep {job.name!r}, from the project's folder on the head (gisearch launch ray).",
            f"mkdir -p {results} || exit 1",
        ]
        if machines := self.file.machines:
            # How many trials run at a time is settled when a sweep starts, by the machines that are there.
            lines += [
                f"for _ in $(seq {self.cluster.machines_minutes * 12 + 1}); do",
                "    here=$(ray list nodes --filter state=ALIVE --format json 2> /dev/null "
                "| grep -o '\"node_id\"' | wc -l)",
                f'    [ "$here" -ge {machines} ] && break',
                "    sleep 5",
                "done",
                f'[ "$here" -ge {machines} ] || echo "note: $here of {machines} machines are here; '
                'going on without the others"',
            ]
        # The machines have the code without its repository.
        if (commit := known_commit()) is not None:
            lines.append(f"export {COMMIT_VARIABLE}={commit}")
        lines += [
            f"export MLFLOW_TRACKING_URI={self._store()}",
            f"exec {_remote(self.cluster.python)} -m gisearch.sweep {shlex.join(sweep)}",
        ]
        return "\n".join(lines) + "\n"

    def _write_upload(self, job: SweepJob, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        write_whole(folder / job.name / _SPACE, job.space.read_text(encoding="utf-8"))
        write_whole(folder / job.name / _RUN, self._script(job))

    def _jobs(self) -> dict[str, Job] | None:
        """Return the cluster's jobs by submission id; None where no cluster runs.

        Raises:
            LaunchError: the head does not answer.
        """
        # Only where Ray is not there may it be started: an answer that did not come says nothing.
        script = (
            'pgrep -u "$(id -u)" gcs_server > /dev/null; '
            "case $? in 0) ray job list --log-style=record;; 1) ;; "
            "*) echo 'error: no program pgrep on the head'; false;; esac"
        )
        try:
            return jobs_of(self.ray.on_head(script))
        except LaunchError as error:
            if re.search(r"[Hh]ead node of cluster .* not found", str(error)):
                return None
            raise

    def _job(self, launch: Launch) -> Job:
        restore_state(self.file)
        jobs = self._jobs()
        if jobs is None:
            raise LaunchError(
                f"the cluster {self.file.cluster_name!r} is down; launch {launch.name!r} again."
            )
        # A Ray that was started again knows nothing of earlier jobs.
        return jobs.get(launch.job) or Job("GONE")


def _remote(path: str) -> str:
    """Return a path of the head's for its shell, in which ``~`` means the home folder there."""
    return "~/" + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def _number(launch: Launch | None) -> int:
    return 0 if launch is None else _number_of(launch.job)


def _number_of(submission: str) -> int:
    digits = submission.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0
