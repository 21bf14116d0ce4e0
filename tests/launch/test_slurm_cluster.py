"""A sweep through a real SLURM: a trial on two machines, taken from it in the middle, and gone on with."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.sweeps import ONE_RATE, SMALL, Sweep
from tests.launch.hosts import wait_until, why_not
from tests.launch.slurm_hosts import NODES, PROGRAMS, SlurmHosts

_missing = why_not(*PROGRAMS, "srun", "scontrol", "squeue", "scancel")
pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(_missing is not None, reason=_missing or ""),
]
# Enough to be told to leave in the middle, whatever the machine.
EPOCHS = 20
# Every machine has one processor, so that the two workers of a trial need both.
SETTINGS = (
    "cluster.nodes=2",
    "cluster.time=00:30:00",
    # Of all folders of these hosts, this one is each one's own.
    'cluster.setup=["export GISEARCH_TMP=/tmp/ray"]',
    "trainer.workers=2",
    f"trainer.max_epochs={EPOCHS}",
    *SMALL,
)
_RAY = re.compile(r"ray::|raylet|gcs_server|symmetric-run|gisearch\.sweep")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmHosts]:
    """SLURM on two machines."""
    made = SlurmHosts(tmp_path_factory.mktemp("slurm"))
    yield made
    made.stop()


@dataclass
class Launched:
    """What a launched sweep left behind.

    Attributes:
        sweep: its results.
        folder: the launch's folder.
        token: the token of its first start.
        kept_epoch: how far the trial was when the job was told to leave.
        trained_on: the machines that had a worker of the trial.
        stranger: what Ray answered to a process without the token.
        followed: what `gisearch launch follow` said at the end.
    """

    sweep: Sweep
    folder: Path
    token: str
    kept_epoch: int
    trained_on: set[str]
    stranger: str
    followed: subprocess.CompletedProcess[str]


def gisearch(slurm: SlurmHosts, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `gisearch launch` where users log in."""
    command = (sys.executable, "-m", "gisearch.launch", *arguments)
    return slurm.run(*command, cwd=folder, check=False, timeout=400)


def wait_for_state(slurm: SlurmHosts, job: str, *states: str, seconds: float = 400) -> str:
    wait_until(lambda: slurm.state(job) in states, seconds, f"job {job} is {' or '.join(states)}")
    return slurm.state(job)


def ray_answers(slurm: SlurmHosts) -> bool:
    """Whether the job's Ray listens."""
    return slurm.run("bash", "-c", "< /dev/tcp/10.77.0.1/20001", check=False).returncode == 0


def ask_ray(slurm: SlurmHosts) -> str:
    """Ask the job's Ray who is there, without its token; returns its answer."""
    ask = (
        "from ray._raylet import GcsClient; GcsClient(address='10.77.0.1:20001').check_alive([], timeout=20)"
    )
    done = slurm.run("env", "RAY_AUTH_MODE=disabled", sys.executable, "-c", ask, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def launched(slurm: SlurmHosts, empty_database: Path) -> Launched:
    """A sweep that was launched, told to leave in mid-trial, queued again by its own script, and ended."""
    work = slurm.folder / "work"
    work.mkdir()
    shutil.copy(empty_database, work / "mlflow.db")
    (work / "space.yaml").write_text(ONE_RATE.format(name="sweep", trials=1, concurrency=1))
    done = gisearch(slurm, work, "slurm", "space.yaml", *SETTINGS)
    assert done.returncode == 0, done.stderr
    assert "submitted as SLURM job 1." in done.stdout

    sweep, folder, trained_on = Sweep(work), work / "launches" / "sweep", set()

    def third_epoch() -> bool:
        assert slurm.state("1") in ("PENDING", "RUNNING"), (folder / "1.log").read_text()
        for node in NODES:
            if any("RayTrainWorker" in command for command in slurm.commands(node)):
                trained_on.add(node)
        return sweep.epoch(0) >= 3

    # Before the trial begins, which does not wait while Ray is asked.
    wait_until(lambda: ray_answers(slurm), 400, "Ray's head answers")
    token = (folder / "job-1" / "token").read_text()
    stranger = ask_ray(slurm)
    wait_until(third_epoch, 400, "the trial's third epoch")
    slurm.run("scancel", "--signal=USR1", "--batch", "1")
    wait_for_state(slurm, "1", "PENDING")
    kept_epoch = sweep.epoch(0)
    # Queued again it would wait for two minutes. Machines refuse a job that is older than its last end.
    time.sleep(2)
    slurm.run("scontrol", "update", "jobid=1", "StartTime=now")
    wait_for_state(slurm, "1", "RUNNING", seconds=120)
    followed = gisearch(slurm, work, "follow", "sweep")
    return Launched(sweep, folder, token, kept_epoch, trained_on, stranger, followed)


def test_one_trial_trains_on_both_machines(launched: Launched) -> None:
    assert launched.trained_on == set(NODES)


def test_told_to_leave_it_goes_on_without_loss(slurm: SlurmHosts, launched: Launched) -> None:
    assert 3 <= launched.kept_epoch < EPOCHS
    assert wait_for_state(slurm, "1", "COMPLETED", "FAILED", seconds=120) == "COMPLETED"
    log = (launched.folder / "1.log").read_text()
    assert "job 1, start 1, on n[1-2]" in log
    assert "queued again, to go on." in log
    assert "job 1, start 2, on n[1-2]" in log
    launched.sweep.check_whole(EPOCHS, 1)


def test_followed_over_both_starts(launched: Launched) -> None:
    assert launched.followed.returncode == 0, launched.followed.stderr
    assert (launched.folder / "1.log").read_text() in launched.followed.stdout
    assert "job 1 ended; results: " in launched.followed.stdout


def test_nothing_stays_behind(slurm: SlurmHosts, launched: Launched) -> None:
    for node in NODES:
        assert [c for c in slurm.commands(node) if _RAY.search(c)] == []
        assert list((slurm.folder / "hosts" / node / "ray").glob("gisearch-*")) == []
    left = {path.name for path in (launched.folder / "job-1").iterdir()}
    assert left == {"exit_code", "ray-n1.log", "ray-n2.log", "sweep.sbatch"}


def test_who_has_no_token_is_refused(launched: Launched) -> None:
    assert "AuthenticationError" in launched.stranger


def test_the_token_is_in_no_file(slurm: SlurmHosts, launched: Launched) -> None:
    assert re.fullmatch("[0-9a-f]{64}", launched.token)
    places = [slurm.folder / "work", slurm.folder / "home", *slurm.folder.glob("*.out")]
    files = [f for place in places for f in ([place] if place.is_file() else place.rglob("*")) if f.is_file()]
    assert len(files) > 10
    assert [f for f in files if launched.token.encode() in f.read_bytes()] == []


def test_a_job_that_waits_is_stopped(slurm: SlurmHosts, launched: Launched) -> None:
    work = slurm.folder / "work"
    later = 'cluster.options=["--begin=now+1hour"]'
    done = gisearch(slurm, work, "slurm", "space.yaml", "name=later", later, *SETTINGS)
    assert done.returncode == 0, done.stderr
    stopped = gisearch(slurm, work, "stop", "later")
    assert "job 2 was waiting and is cancelled" in stopped.stdout, stopped.stderr
    assert slurm.state("2") == "CANCELLED"
