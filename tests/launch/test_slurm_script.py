"""The job's script, with stand-ins for SLURM's programs, Ray and the sweep."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gisearch.resources import resource_folder
from tests.launch.hosts import wait_until

SCRIPT = resource_folder("clusters") / "slurm" / "sweep.sbatch"
# `srun` runs the first machine's part; `python` is the sweep, and says what it was given.
PROGRAMS = {
    "srun": """
        while [ "$1" != bash ]; do shift; done
        SLURM_PROCID=0 setsid "$@" & child=$!
        trap 'kill -KILL -- -$child' TERM
        wait $child; wait $child""",
    "scontrol": """
        echo "$*" >>"$CALLS/scontrol"
        [ "$1" != show ] || echo "   NodeAddr=n1 NodeHostName=n1"
        [ "$1" != requeue ] || kill -TERM $PPID""",
    "python": """
        echo "$*" >"$CALLS/python"
        env >"$CALLS/environment"
        stat -c %a "$RAY_AUTH_TOKEN_PATH" >"$CALLS/mode"
        cp "$RAY_AUTH_TOKEN_PATH" "$CALLS/token"
        code=${CODE:-}
        trap 'echo TERM >>"$CALLS/signals"; code=${TOLD:-143}' TERM
        touch "$CALLS/begun"
        while [ -z "$code" ]; do sleep 0.1 & wait $!; done
        [ ! -e "$CALLS/signals" ] || sleep 1
        exit $code""",
    "ray": """echo "$*" >>"$CALLS/ray"; echo "Ray's own words"; sleep "${RAY_TAKES:-0}" """,
    "hostname": """echo 127.0.1.1 0.0.0.0""",
    "getent": """echo 127.0.1.1 STREAM n1""",
    "pgrep": """exit "${RAY_RUNS:-1}" """,
}


class Job:
    """The script as SLURM would run it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.process: subprocess.Popen[str] | None = None
        for path in (self.calls, folder / "bin"):
            path.mkdir()
        for name, text in PROGRAMS.items():
            self.program(name, text)

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def start(self, *arguments: str, nodes: int = 1, **environment: str) -> subprocess.Popen[str]:
        slurm = {
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": str(nodes),
            "SLURM_JOB_NODELIST": "n1",
            "SLURMD_NODENAME": "n1",
            "SLURM_CPUS_ON_NODE": "8",
            "SLURM_GPUS_ON_NODE": "2",
        }
        own = {"CALLS": str(self.calls), "GISEARCH_TMP": str(self.folder), "RAY_ADDRESS": "10.0.0.1:6379"}
        user = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(self.folder)}
        self.process = subprocess.Popen(
            ["bash", str(SCRIPT), *(arguments or ("space.yaml", "name=x"))],
            cwd=self.folder,
            env={**user, **slurm, **own, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.process

    def end(self) -> tuple[int, str]:
        assert self.process is not None
        log, _ = self.process.communicate(timeout=60)
        return self.process.returncode, log

    def tell(self) -> None:
        """Send SLURM's warning."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)

    def begun(self) -> None:
        wait_until((self.own / "pid").exists, 120, "the sweep's process is known")
        wait_until((self.calls / "begun").exists, 120, "the sweep begins")

    @property
    def own(self) -> Path:
        """The job's folder."""
        return self.folder / "launches" / "job-7"

    def called(self, name: str) -> str:
        path = self.calls / name
        return path.read_text() if path.exists() else ""

    def environment(self) -> Mapping[str, str]:
        return dict(line.split("=", 1) for line in self.called("environment").splitlines() if "=" in line)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        # srun's stand-in ends what it started.
        for child in subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(made.process.pid)], capture_output=True, text=True
        ).stdout.split():
            os.kill(int(child), signal.SIGTERM)
        made.process.kill()
        made.process.communicate()


class TestEnd:
    def test_what_srun_said_is_shown(self, job: Job) -> None:
        job.program("srun", 'echo "srun: error: Unable to create step: Invalid memory" >&2; exit 1')
        job.start()
        code, log = job.end()
        assert code == 1
        last = log.strip().splitlines()[-1]
        assert last.startswith("error: the sweep was killed; what Ray said is in ")
        assert last.endswith("srun: error: Unable to create step: Invalid memory")

    def test_the_sweep_s_exit_code_is_the_job_s(self, job: Job) -> None:
        job.start(CODE="3")
        code, log = job.end()
        assert code == 3, log
        assert (job.own / "exit_code").read_text() == "3\n"
        assert job.called("python") == "-m gisearch.sweep --continue space.yaml name=x\n"
        assert "requeue" not in job.called("scontrol")

    def test_one_machine_gets_a_ray_of_the_sweep_s_own(self, job: Job) -> None:
        job.start(CODE="0")
        assert job.end()[0] == 0
        environment = job.environment()
        assert "RAY_ADDRESS" not in environment
        assert environment["RAY_OVERRIDE_RESOURCES"] == '{"CPU": 8, "GPU": 2}'
        assert job.called("ray") == ""
        assert not (job.folder / "gisearch-7").exists(), "Ray's folder is removed"

    def test_the_token_is_the_job_s_own_and_goes_with_it(self, job: Job) -> None:
        job.start(CODE="0", RAY_AUTH_TOKEN="from the user's shell")
        _, log = job.end()
        token = job.called("token")
        assert re.fullmatch("[0-9a-f]{64}", token)
        assert job.called("mode") == "600\n"
        environment = job.environment()
        assert environment["RAY_AUTH_MODE"] == "token"
        assert "RAY_AUTH_TOKEN" not in environment
        assert token not in log
        assert token not in job.called("environment")
        assert not (job.own / "token").exists()

    def test_a_ray_that_does_not_start_is_an_error_though_it_says_0(self, job: Job) -> None:
        job.start(nodes=2)
        code, log = job.end()
        assert code == 1
        assert "error: Ray did not start on" in log
        assert "Ray's own words" in log
        # Never an address that every machine takes for itself.
        started = "symmetric-run --address 0.0.0.0:20007 --min-nodes 2 --num-cpus 8 --num-gpus 2 -- bash "
        assert job.called("ray").startswith(started)
        assert len(job.called("ray").splitlines()) == 3, "a busy machine is given another chance"

    def test_a_sweep_that_is_killed(self, job: Job) -> None:
        job.program("ray", """echo 1 >"$GISEARCH_JOB/pid"; : >"$GISEARCH_OUT" """)
        job.start(nodes=2)
        code, log = job.end()
        assert code == 1
        assert "error: the sweep was killed" in log


class TestLeaving:
    def test_told_to_leave_it_is_queued_again(self, job: Job) -> None:
        job.start()
        job.begun()
        job.tell()
        code, log = job.end()
        assert code == 143
        assert "requeue 7" in job.called("scontrol")
        assert "queued again, to go on" in log
        assert not (job.own / "token").exists()

    def test_told_twice_the_sweep_hears_it_once(self, job: Job) -> None:
        job.start()
        job.begun()
        job.tell()
        wait_until((job.calls / "signals").exists, 120, "the sweep is told")
        job.tell()
        job.end()
        assert job.called("signals") == "TERM\n", "a second one would have it leave in mid-epoch"

    def test_a_sweep_that_ended_by_itself_is_not_queued_again(self, job: Job) -> None:
        job.start(TOLD="0")
        job.begun()
        job.tell()
        assert job.end()[0] == 0
        assert "requeue" not in job.called("scontrol")

    def test_a_user_who_stops_it_is_obeyed(self, job: Job) -> None:
        job.start()
        job.begun()
        (job.own / "stop").touch()
        job.tell()
        assert job.end()[0] == 143
        assert "requeue" not in job.called("scontrol")
        # Nor does it begin where SLURM starts it again.
        (job.calls / "begun").unlink()
        job.start()
        assert job.end()[0] == 143
        assert not (job.calls / "begun").exists()

    def test_not_more_often_than_allowed(self, job: Job) -> None:
        job.start(SLURM_RESTART_COUNT="2", GISEARCH_MAX_REQUEUES="2")
        job.begun()
        job.tell()
        code, log = job.end()
        assert code == 143
        assert "it was 2 times before (GISEARCH_MAX_REQUEUES=2)" in log
        assert "requeue" not in job.called("scontrol")

    def test_told_before_the_sweep_began(self, job: Job) -> None:
        job.start(nodes=2, RAY_TAKES="100")
        wait_until((job.calls / "ray").exists, 120, "Ray starts")
        job.tell()
        assert job.end()[0] == 143
        assert "requeue 7" in job.called("scontrol")


class TestErrors:
    def test_no_search_space(self) -> None:
        environment = {"SLURM_JOB_ID": "7", "PATH": "/usr/bin:/bin"}
        process = subprocess.run(["bash", SCRIPT], env=environment, capture_output=True)
        assert process.returncode == 1
        assert b"error: no search space; expected: sbatch" in process.stderr

    def test_not_in_a_job(self) -> None:
        environment = {"PATH": "/usr/bin:/bin"}
        process = subprocess.run(["bash", SCRIPT, "space.yaml"], env=environment, capture_output=True)
        assert process.returncode == 1
        assert b"error: not in a SLURM job" in process.stderr

    @pytest.mark.parametrize(
        ("environment", "says"),
        [
            ({"RAY_RUNS": "0"}, "already; a job of several machines needs them for itself"),
            ({"GISEARCH_SETUP": "nowhere.sh"}, "error: GISEARCH_SETUP: no file nowhere.sh"),
        ],
    )
    def test_what_a_machine_lacks(self, job: Job, environment: dict[str, str], says: str) -> None:
        job.start(nodes=2, **environment)
        code, log = job.end()
        assert code == 1
        assert says in log
        assert job.called("ray") == ""

    def test_no_ray_in_the_environment(self, job: Job) -> None:
        (job.folder / "bin" / "ray").unlink()
        job.start()
        code, log = job.end()
        assert code == 1
        assert "error: no program 'ray' on" in log

    def test_setup_lines_come_first(self, job: Job) -> None:
        (job.folder / "setup.sh").write_text('export FROM_SETUP="$NOT_SET yes"\n')
        job.start(CODE="0", GISEARCH_SETUP="setup.sh")
        assert job.end()[0] == 0
        assert job.environment()["FROM_SETUP"] == " yes"
